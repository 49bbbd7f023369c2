"""Looking into a generator: mixing styles, walking between images, truncation, and the w of a radiograph."""
