"""The third way through the course: write it yourself, and have it checked in seconds."""
