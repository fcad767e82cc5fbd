"""`make bench`: figures against floors that are measured in the same run. Ratios and medians: machines are noisy."""
