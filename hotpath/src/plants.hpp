// Planted bugs: each is one condition in the product that only a build with BACKSTAY_PLANTED can make true. In every other
// build `is_planted` is a constant false that the compiler removes with all that hangs on it, names included; a checker that
// has never fired proves nothing, so CI turns one on at a time and asks which invariant notices (docs/reliability.md).
#pragma once

// The plants in compiled code; those in Python are listed in gateway/plants.py.
#define BACKSTAY_PLANTS(PLANT)           \
    PLANT(COUNT_REPEATED_FILL_TWICE)     \
    PLANT(IGNORE_FILL_AFTER_CANCEL)      \
    PLANT(RESERVE_ON_ACKNOWLEDGEMENT)    \
    PLANT(FREE_ALL_ON_CANCEL)            \
    PLANT(CHECK_KILL_AT_ADMISSION_ONLY)  \
    PLANT(TRIGGER_ON_STALE_QUOTE)        \
    PLANT(DROP_FOR_SLOW_CLIENT)          \
    PLANT(ITERATE_A_SET)                 \
    PLANT(LATE_FILL_IS_NOT_LATE)         \
    PLANT(CHANGE_WITHOUT_A_RECORD)       \
    PLANT(KEEP_A_SLOW_CLIENT)            \
    PLANT(TELL_ANOTHER_ACCOUNT)          \
    PLANT(KEEP_TRAILS_STILL)             \
    PLANT(APPLY_OLDER_OF_TWO_FEEDS)      \
    PLANT(LIVE_WITHOUT_A_PARENT)         \
    PLANT(KEEP_A_SIBLING_WHOLE)          \
    PLANT(BLIND_BY_ONE_FEED)

namespace backstay {

#define BACKSTAY_PLANT_NAME(name) name,
enum Plant : int { NO_PLANT, BACKSTAY_PLANTS(BACKSTAY_PLANT_NAME) };
#undef BACKSTAY_PLANT_NAME

#ifdef BACKSTAY_PLANTED

#define BACKSTAY_PLANT_TEXT(name) #name,
inline const char* const plant_names[] = {BACKSTAY_PLANTS(BACKSTAY_PLANT_TEXT)};
#undef BACKSTAY_PLANT_TEXT
inline int planted_bug = NO_PLANT;  // one object for all extensions: g++ makes an inline variable unique in the process

inline int plant_count() noexcept { return (int)(sizeof plant_names / sizeof plant_names[0]); }
inline const char* plant_name(int plant) noexcept { return plant_names[plant - 1]; }
inline void set_plant(int plant) noexcept { planted_bug = plant; }
inline bool is_planted(int plant) noexcept { return planted_bug == plant; }

#else

constexpr int plant_count() noexcept { return 0; }
constexpr const char* plant_name(int) noexcept { return ""; }
constexpr void set_plant(int) noexcept {}
constexpr bool is_planted(int) noexcept { return false; }

#endif

}  // namespace backstay
