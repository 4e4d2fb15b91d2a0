"""RTNeural's JSON files: every layer becomes ops of ours; what it would load wrongly is refused."""
