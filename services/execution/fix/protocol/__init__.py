"""What does a FIX session do with these bytes at this instant? Pure: bytes and clock in; bytes, events, timers out."""
