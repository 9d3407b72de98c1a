"""How much memory this process holds."""

STATUS = "/proc/self/status"


def resident_mb():
    """Resident memory in MB (2**20 bytes); None where the system does not tell."""
    try:
        with open(STATUS, encoding="ascii") as file:
            sizes = [line.split()[1] for line in file if line.startswith("VmRSS:")]
    except OSError:
        return None
    return int(sizes[0]) / 1024 if sizes else None
