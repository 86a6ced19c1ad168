"""Bronze: where it lies, and the ledger of the hours that are in it."""
