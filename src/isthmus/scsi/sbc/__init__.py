"""Block commands (SBC-4): what a disk answers."""
