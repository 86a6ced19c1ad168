"""What SQLMesh gets from the pipeline: settings, connections, and locks."""
