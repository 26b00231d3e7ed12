"""What other caches have left on the disk: read, and taken over into one of ours."""
