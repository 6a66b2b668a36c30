"""Seeds that are a function of where a run stands: seed, epoch and batch in, one unrelated seed for each out."""

_MASK = 2**64 - 1


def mix_seed(*numbers: int) -> int:
    """One seed from several integers; different tuples give different, unrelated seeds.

    A sum such as ``seed * 100_003 + epoch`` meets itself again for a neighbouring seed; a hash of each number in
    turn does not.

    Args:
        numbers: Integers, e.g. seed, epoch, batch; of each its lowest 64 bits count.

    Returns:
        An integer in 0..2^63-1, as ``torch.Generator.manual_seed`` takes it.

    Source:
        Steele, Lea, Flood (2014), Fast splittable pseudorandom number generators, the finaliser of SplitMix64.
    """
    state = 0
    for number in numbers:
        state = (state + 0x9E3779B97F4A7C15 + (number & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1
