"""The switches of the bugs that are planted in compiled code: none in a normal build (hotpath/src/plants.hpp)."""


def compiled_plants() -> list:
    """Names of the plants that this build has in compiled code; empty in a normal build."""
    cdef int plant
    return [plant_name(plant).decode().lower() for plant in range(1, plant_count() + 1)]


def choose_plant(int number) -> None:
    """Turn on the plant of that number, counted from 1 in the order of `compiled_plants`; 0 turns off what was on."""
    if not 0 <= number <= plant_count():
        raise ValueError(f"no plant of number {number}: there are {plant_count()}")
    set_plant(number)
