"""The whisper skin: a signal-processing teacher (WORLD) and the students that learn it."""
