"""Neural vocoders: mel frames in, speech out, by samples (WaveNet) or in one pass (inverse autoregressive flow)."""
