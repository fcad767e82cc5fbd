"""What a resident can come for: the catalogue of service items as data, published to every edge."""
