"""`suozhan-verify`: says what an exported bundle proves, and by whom; needs neither hub nor edge."""
