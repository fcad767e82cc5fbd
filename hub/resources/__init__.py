"""What a site must know, signed and versioned: published here, pushed down the Watch stream, reported back."""
