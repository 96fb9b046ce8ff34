"""One file a command: what is typed in, which room does it, what is shown."""
