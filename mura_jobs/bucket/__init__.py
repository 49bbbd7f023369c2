"""Where everything lies: `open_bucket(url)` on S3 or in a local folder, with one contract."""
