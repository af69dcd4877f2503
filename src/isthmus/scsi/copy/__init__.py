"""Third-party copy (SPC-4 §5.17, SBC-4 §4.28): EXTENDED COPY, and copies by tokens that stand for data."""
