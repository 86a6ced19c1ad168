"""The lake: a folder or S3, the archive of what Amplitude sent, and the privacy rules before it."""
