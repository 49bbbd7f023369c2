"""Adaptive discriminator augmentation (ADA, section 2 and appendix B)."""
