"""Neural vocoders: mel frames in, speech out, sample by sample (WaveNet) or in one pass (inverse autoregressive flow)."""
