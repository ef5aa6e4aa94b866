"""Planted bugs: `is_planted(...)` is a constant False unless the build is `planted` (hotpath/src/plants.hpp)."""

cdef extern from "hotpath/src/plants.hpp" namespace "backstay" nogil:
    enum Plant:
        NO_PLANT
        COUNT_REPEATED_FILL_TWICE
        IGNORE_FILL_AFTER_CANCEL
        RESERVE_ON_ACKNOWLEDGEMENT
        FREE_ALL_ON_CANCEL
        CHECK_KILL_AT_ADMISSION_ONLY
        TRIGGER_ON_STALE_QUOTE
        DROP_FOR_SLOW_CLIENT
        ITERATE_A_SET
        LATE_FILL_IS_NOT_LATE
        CHANGE_WITHOUT_A_RECORD
        KEEP_A_SLOW_CLIENT
        TELL_ANOTHER_ACCOUNT
        KEEP_TRAILS_STILL
        APPLY_OLDER_OF_TWO_FEEDS
        LIVE_WITHOUT_A_PARENT
        KEEP_A_SIBLING_WHOLE
        BLIND_BY_ONE_FEED
    int plant_count() noexcept
    const char* plant_name(int plant) noexcept
    void set_plant(int plant) noexcept
    bint is_planted(int plant) noexcept
