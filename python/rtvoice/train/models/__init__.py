"""Networks that change a voice: the offline master, the students that ship, and what they are trained against."""
