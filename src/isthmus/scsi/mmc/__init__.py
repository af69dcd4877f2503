"""Multi-media commands (MMC-6): what a drive for discs that can be read answers."""
