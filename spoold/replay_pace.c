/* SPDX-License-Identifier: ISC */
/*
 * The control of one target's rate and window. Replies are judged in rounds:
 * a round is good unless its reply times doubled, or too many were refusals.
 *
 *     good, and it was held back     -> up
 *     bad                            -> cut to half of what was measured
 *     good after a cut               -> back to just below what hurt
 *     at what hurt, after a hold     -> beyond it in small steps
 *     well beyond it, and still good -> the memory moves along, in strides
 *
 * What counts when it hurts is what the target answered within a second, not
 * what was asked of it: while the rate grows fast the two are far apart, and
 * a target that counts in seconds notices late.
 *
 * Before: replay_sched.c   After: replay_sched.c
 */
#include "replay_pace.h"

#include <string.h>

/* --- how ----------------------------------------------------------------- */

#define ROUND_REPLIES 8   /* a round has at least so many */
#define ROUND_FAST_MS 30  /* and lasts so long where nothing hurt yet */
#define ROUND_MS      250 /* or else */
#define SLOW_ROUNDS   2   /* of the latter, before anything is cut */
#define SECOND_MS     1000
#define GRACE_MS      1000 /* after a cut; a target's windows empty */
#define CUTS_MAX      3    /* one after the other with no good round between */
/* Replies that are slow for so long, whatever was cut, are usual from now on.
 */
#define ADAPT_MS       20000
#define REFUSALS_SHARE 10 /* a round with more than a tenth is bad, */
#define REFUSALS_MIN   3  /* from so many on */

#define FAST_GROWTH  1.5 /* a round */
#define FASTER_FROM  500 /* from this rate on, that often asked and answered */
#define FASTER       2.0
#define NEAR         0.95  /* of what hurt: where a cut figure comes back to */
#define PROBE_STEP   0.005 /* of what hurt, a round */
#define PROBE_LEAST  0.5   /* messages a second, a round */
#define FORGET       1.05  /* of what hurt: it does not hurt there any more */
#define STRIDE_MAX   16    /* steps at once, where all goes well beyond that */
#define NEARLY       0.8
#define AGAIN        0.93 /* of what hurt: it hurt sooner than remembered */
#define SAME         0.85 /* of what hurt: it hurt at the same place */
#define FELL         0.6  /* of what made it fall */
#define HOLD_MIN_MS  10000
#define HOLD_MAX_MS  160000
#define RATE_MIN     0.5
#define WINDOW_START 4

/* Reply times below this are no sign of distress, however much they grew: at
 * low rates a target has no reason to be slower than that, at high ones a
 * queue of a few messages is no overload. */
#define CALM_MIN_MS 4
#define CALM_MAX_MS 20

#define BIN_GROWTH 1.3

/* In how many rounds the base follows what is seen. */
#define BASE_DOWN 16
#define BASE_UP   256

/* --- reply times --------------------------------------------------------- */

static unsigned
bin_of(int64_t ms)
{
    unsigned bin = 0;

    for (double top = 1; bin < PACE_BINS - 1 && (double)ms > top; bin++)
        top = top * BIN_GROWTH > top + 1 ? top * BIN_GROWTH : top + 1;
    return bin;
}

/* The longest time of the bin. */
static double
bin_ms(unsigned bin)
{
    double top = 1;

    while (bin-- > 0)
        top = top * BIN_GROWTH > top + 1 ? top * BIN_GROWTH : top + 1;
    return top;
}

/* share: 0..100. */
static double
quantile(const struct replay_pace *pace, unsigned share)
{
    unsigned total = 0, seen = 0, bin = 0;

    for (unsigned i = 0; i < PACE_BINS; i++)
        total += pace->bins[i];
    for (; bin < PACE_BINS - 1; bin++) {
        seen += pace->bins[bin];
        if (seen * 100 >= total * share)
            break;
    }
    return bin_ms(bin);
}

/* --- what was measured --------------------------------------------------- */

static void
second_move(struct replay_pace *pace, int64_t now_ms)
{
    const int64_t part_ms = SECOND_MS / PACE_SECOND;
    int64_t parts = (now_ms - pace->second_ms) / part_ms;

    if (parts <= 0)
        return;
    for (int64_t i = 1; i <= parts && i <= PACE_SECOND; i++)
        pace->second[(pace->second_ms / part_ms + i) % PACE_SECOND] = 0;
    pace->second_ms += parts * part_ms;
}

/* While the first second is not full it counts for what it is. */
double
replay_pace_measured(const struct replay_pace *pace, int64_t now_ms)
{
    const int64_t part_ms = SECOND_MS / PACE_SECOND;
    struct replay_pace copy = *pace;
    unsigned parts = PACE_SECOND;
    double sum = 0;

    second_move(&copy, now_ms);
    for (unsigned i = 0; i < PACE_SECOND; i++)
        sum += copy.second[i];
    while (parts > PACE_SECOND / 2 &&
           copy.second[(copy.second_ms / part_ms + 1 + PACE_SECOND - parts) %
                       PACE_SECOND] == 0)
        parts--;
    return sum * PACE_SECOND / parts;
}

/* --- buckets ------------------------------------------------------------- */

static double
bucket_level(const struct pace_bucket *bucket, double per_second, double depth,
             int64_t now_ms)
{
    double level = bucket->level +
                   per_second * (double)(now_ms - bucket->at_ms) / SECOND_MS;

    return level < depth ? level : depth;
}

static void
bucket_take(struct pace_bucket *bucket, double per_second, double depth,
            double n, int64_t now_ms)
{
    bucket->level = bucket_level(bucket, per_second, depth, now_ms) - n;
    bucket->at_ms = now_ms;
}

/* When it has n. */
static int64_t
bucket_at(const struct pace_bucket *bucket, double per_second, double depth,
          double n, int64_t now_ms)
{
    double level = bucket_level(bucket, per_second, depth, now_ms);

    if (level >= n)
        return now_ms;
    return now_ms + 1 + (int64_t)((n - level) * SECOND_MS / per_second);
}

/* Timers wake once a millisecond, and turns of the loop take their time. */
static double
rate_depth(double rate)
{
    return rate * 0.02 > 4 ? rate * 0.02 : 4;
}

static double
capped_depth(double per_second)
{
    return per_second > 1 ? per_second : 1;
}

static double
a_second(uint64_t a_minute)
{
    return (double)a_minute / 60;
}

/* --- controls ------------------------------------------------------------ */

/* The figure it comes back to after a cut. */
static double
control_near(const struct pace_control *control)
{
    return control->whole ? control->hurt - 1 : control->hurt * NEAR;
}

/* What hurt, as far as can be told from what was measured. */
static double
control_hurt(const struct pace_control *control, double measured, bool soon)
{
    /* Nearly all that was asked of it: chance is greater than the rest. */
    if (measured > control->now * NEARLY)
        measured = control->now;
    /* Of the cut before this one it has not even recovered. */
    if (control->recovering || (soon && measured > control->hurt * AGAIN))
        measured = control->hurt * AGAIN;
    return measured;
}

/* How long nothing is tried beyond what hurt. */
static void
control_hold(struct pace_control *control, double hurt, bool soon,
             int64_t now_ms)
{
    bool same = hurt > control->hurt * SAME; /* it is known by now */

    if (!same)
        control->pause_ms = HOLD_MIN_MS;
    else if (!soon && control->pause_ms < HOLD_MAX_MS)
        control->pause_ms *= 2;
    control->hold_ms = now_ms + control->pause_ms;
}

static void
control_cut(struct pace_control *control, double measured, double least,
            int64_t now_ms)
{
    bool first = control->hurt == 0, soon = !first && now_ms < control->hold_ms;
    double hurt = control_hurt(control, measured, soon);

    if (now_ms < control->cut_ms + GRACE_MS || control->cuts == CUTS_MAX)
        return;
    if (hurt < least)
        hurt = least;
    control_hold(control, first ? 0 : hurt, soon, now_ms);
    control->now = (control->recovering ? control->now : hurt) / 2;
    /* While it grew fast more came in than could be measured. */
    if (first)
        control->now /= 2;
    if (control->now < least)
        control->now = least;
    if (!control->recovering)
        control->first_ms = now_ms;
    control->hurt = hurt;
    control->cut_ms = now_ms;
    control->recovering = true;
    control->cuts++;
    control->stride = 1;
}

/* A good round. */
static void
control_grow(struct pace_control *control, double fast, double step,
             int64_t now_ms)
{
    double near = control_near(control);

    if (control->recovering) {
        if (now_ms < control->cut_ms + GRACE_MS)
            return;
        control->recovering = false;
        control->cuts = 0;
        if (control->now < near)
            control->now = near;
    }
    if (!control->wanted)
        return;
    if (control->hurt == 0) {
        control->now *= fast;
    } else if (control->now < near) {
        control->now = control->now * fast < near ? control->now * fast : near;
    } else if (now_ms >= control->hold_ms) {
        control->now += step * control->stride;
        if (control->now > control->hurt * FORGET)
            control->hurt = control->now; /* it does not hurt there any more */
        if (control->hurt == control->now && control->stride < STRIDE_MAX)
            control->stride *= 2;
    }
}

static double
window_most(const struct replay_pace *pace)
{
    return pace->limits.connections > 0 ? (double)pace->limits.connections : 1;
}

/* A share of what hurt; where that is nearly nothing, so is the harm. */
static double
rate_step(const struct pace_control *rate)
{
    double step = rate->hurt * PROBE_STEP;

    return step > PROBE_LEAST ? step : PROBE_LEAST;
}

static void
grow(struct replay_pace *pace, int64_t now_ms)
{
    struct pace_control *rate = &pace->rate, *window = &pace->window;
    double before = rate->now + window->now;

    control_grow(rate, rate->now < FASTER_FROM ? FAST_GROWTH : FASTER,
                 rate_step(rate), now_ms);
    if (rate->now > PACE_FREE_RATE)
        rate->now = PACE_FREE_RATE;
    control_grow(window, 2, 1, now_ms);
    if (window->now > window_most(pace))
        window->now = window_most(pace);
    if (rate->now + window->now > before)
        pace->step_ms = now_ms;
}

static void
cut_rate(struct replay_pace *pace, int64_t now_ms)
{
    double measured = replay_pace_measured(pace, now_ms);

    /* At its beginning little was answered because little was sent. */
    if (pace->rate.now <= 2 * PACE_START_RATE && measured < pace->rate.now / 2)
        measured = pace->rate.now / 2;
    control_cut(&pace->rate, measured, RATE_MIN, now_ms);
    pace->step_ms = now_ms;
}

/* --- rounds -------------------------------------------------------------- */

static void
round_begin(struct replay_pace *pace, int64_t now_ms)
{
    pace->round_ms = now_ms;
    pace->replies = pace->refusals = 0;
    memset(pace->bins, 0, sizeof(pace->bins));
    pace->rate.wanted = pace->window.wanted = false;
}

static double
calm_ms(const struct replay_pace *pace)
{
    double calm = pace->rate.now / 100;

    if (calm < CALM_MIN_MS)
        return CALM_MIN_MS;
    return calm > CALM_MAX_MS ? CALM_MAX_MS : calm;
}

/* The 95th percentile doubled; and since one long message or one moment
 * without the processor does that to a small round, most replies must be
 * slower as well. */
static bool
is_slow(const struct replay_pace *pace, double median, double p95)
{
    return pace->base_p95 > 0 && p95 > calm_ms(pace) &&
           p95 > 2 * pace->base_p95 && median > 1.5 * pace->base_median;
}

/* The mean of the first rounds; then down soon, up very slowly: what a target
 * is slower by for good has other reasons than what it is given. */
static void
base_follow(const struct replay_pace *pace, double *base, double seen)
{
    double rounds = pace->base_rounds;
    double usual = seen < *base ? BASE_DOWN : BASE_UP;

    *base += (seen - *base) / (rounds < usual ? rounds : usual);
}

/* Nothing hurt yet, or the cut was just now. */
static bool
is_fast(const struct replay_pace *pace)
{
    return pace->rate.hurt == 0 || pace->rate.recovering;
}

static void
round_end(struct replay_pace *pace, int64_t now_ms)
{
    double median = quantile(pace, 50), p95 = quantile(pace, 95);
    bool slow = is_slow(pace, median, p95);
    bool refused = pace->refusals >= REFUSALS_MIN &&
                   pace->refusals * REFUSALS_SHARE > pace->replies;

    if (!refused && (!slow || pace->base_rounds >= BASE_DOWN)) {
        pace->base_rounds += pace->base_rounds < BASE_UP;
        base_follow(pace, &pace->base_median, median);
        base_follow(pace, &pace->base_p95, p95);
    }
    pace->slow_rounds = slow ? pace->slow_rounds + 1 : 0;
    if (slow && pace->rate.recovering &&
        now_ms >= pace->rate.first_ms + ADAPT_MS) {
        pace->base_median = median;
        pace->base_p95 = p95;
    }
    if (refused || pace->slow_rounds >= SLOW_ROUNDS || (slow && is_fast(pace)))
        cut_rate(pace, now_ms);
    else if (!slow)
        grow(pace, now_ms);
    round_begin(pace, now_ms);
}

static int64_t
round_length_ms(const struct replay_pace *pace)
{
    return is_fast(pace) ? ROUND_FAST_MS : ROUND_MS;
}

void
replay_pace_reply(struct replay_pace *pace, int64_t began_ms, bool refused,
                  int64_t now_ms)
{
    second_move(pace, now_ms);
    pace->second[pace->second_ms / (SECOND_MS / PACE_SECOND) % PACE_SECOND]++;
    if (began_ms < pace->step_ms)
        return; /* it says nothing of how it is now */
    pace->replies++;
    pace->refusals += refused;
    if (!refused)
        pace->bins[bin_of(now_ms - began_ms)]++;
    if (pace->replies >= ROUND_REPLIES &&
        now_ms - pace->round_ms >= round_length_ms(pace))
        round_end(pace, now_ms);
}

/* --- the interface ------------------------------------------------------- */

void
replay_pace_init(struct replay_pace *pace, const struct replay_limits *limits,
                 const struct replay_pace_memory *memory, int64_t now_ms)
{
    *pace = (struct replay_pace){
        .limits = *limits,
        .rate = {.hurt = (double)memory->hurt_rate,
                 .pause_ms = HOLD_MIN_MS,
                 .stride = 1},
        .window = {.hurt = (double)memory->hurt_window,
                   .stride = 1,
                   .pause_ms = HOLD_MIN_MS,
                   .whole = true},
        .second_ms = now_ms,
    };
    replay_pace_restart(pace, now_ms);
    if (memory->rate > pace->rate.now && memory->hurt_rate == 0)
        pace->rate.now = (double)memory->rate;
}

void
replay_pace_set_limits(struct replay_pace *pace,
                       const struct replay_limits *limits)
{
    pace->limits = *limits;
    if (pace->window.now > window_most(pace))
        pace->window.now = window_most(pace);
}

struct replay_pace_memory
replay_pace_memory(const struct replay_pace *pace)
{
    return (struct replay_pace_memory){
        .rate = (uint64_t)(pace->rate.now + 0.5),
        .hurt_rate = (uint64_t)(pace->rate.hurt + 0.5),
        .hurt_window = (uint64_t)(pace->window.hurt + 0.5),
    };
}

/* Half of what hurt, if that is less than how it begins with anybody. */
static double
start(const struct pace_control *control, double usual)
{
    return control->hurt > 0 && control->hurt / 2 < usual ? control->hurt / 2
                                                          : usual;
}

void
replay_pace_restart(struct replay_pace *pace, int64_t now_ms)
{
    pace->rate.now = start(&pace->rate, PACE_START_RATE);
    pace->window.now = start(&pace->window, WINDOW_START);
    if (pace->window.now < 1)
        pace->window.now = 1;
    if (pace->window.now > window_most(pace))
        pace->window.now = window_most(pace);
    pace->rate.recovering = pace->window.recovering = false;
    pace->rate.cuts = pace->window.cuts = 0;
    pace->rate.cut_ms = pace->window.cut_ms = now_ms - GRACE_MS;
    pace->step_ms = now_ms;
    pace->rate.hold_ms = now_ms + pace->rate.pause_ms;
    pace->window.hold_ms = now_ms + pace->window.pause_ms;
    pace->messages = (struct pace_bucket){rate_depth(pace->rate.now), now_ms};
    pace->capped = pace->connects = (struct pace_bucket){1, now_ms};
    pace->bytes = (struct pace_bucket){0, now_ms};
    round_begin(pace, now_ms);
}

size_t
replay_pace_window(const struct replay_pace *pace)
{
    return (size_t)pace->window.now;
}

static int64_t
later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t
replay_pace_message_at(const struct replay_pace *pace, int64_t now_ms)
{
    const struct replay_limits *limits = &pace->limits;
    double capped = a_second(limits->message_rate);
    double bytes = (double)limits->byte_rate;
    int64_t at = now_ms;

    if (pace->rate.now < PACE_FREE_RATE)
        at = bucket_at(&pace->messages, pace->rate.now,
                       rate_depth(pace->rate.now), 1, now_ms);
    if (capped > 0)
        at = later(at, bucket_at(&pace->capped, capped, capped_depth(capped), 1,
                                 now_ms));
    if (bytes > 0)
        at = later(at, bucket_at(&pace->bytes, bytes, bytes, 0, now_ms));
    return at;
}

int64_t
replay_pace_connect_at(const struct replay_pace *pace, int64_t now_ms)
{
    double rate = a_second(pace->limits.connection_rate);

    if (rate == 0)
        return now_ms;
    return bucket_at(&pace->connects, rate, capped_depth(rate), 1, now_ms);
}

void
replay_pace_message(struct replay_pace *pace, int64_t now_ms)
{
    double capped = a_second(pace->limits.message_rate);

    bucket_take(&pace->messages, pace->rate.now, rate_depth(pace->rate.now), 1,
                now_ms);
    if (capped > 0)
        bucket_take(&pace->capped, capped, capped_depth(capped), 1, now_ms);
}

void
replay_pace_undo(struct replay_pace *pace)
{
    pace->messages.level++;
    if (pace->limits.message_rate > 0)
        pace->capped.level++;
}

void
replay_pace_bytes(struct replay_pace *pace, uint64_t bytes, int64_t now_ms)
{
    double rate = (double)pace->limits.byte_rate;

    if (rate > 0)
        bucket_take(&pace->bytes, rate, rate, (double)bytes, now_ms);
}

void
replay_pace_connect(struct replay_pace *pace, int64_t now_ms)
{
    double rate = a_second(pace->limits.connection_rate);

    if (rate > 0)
        bucket_take(&pace->connects, rate, capped_depth(rate), 1, now_ms);
}

/* Not where a limit of the configuration is what holds it back. */
void
replay_pace_want_rate(struct replay_pace *pace, int64_t now_ms)
{
    double rate = pace->rate.now;

    pace->rate.wanted |=
        bucket_at(&pace->messages, rate, rate_depth(rate), 1, now_ms) > now_ms;
}

void
replay_pace_want_window(struct replay_pace *pace)
{
    pace->window.wanted = true;
}

void
replay_pace_connection_hurt(struct replay_pace *pace, size_t open,
                            int64_t now_ms)
{
    struct pace_control *window = &pace->window;
    double hurt = (double)open + 1; /* of which one was too many */

    /* More of the same moment: fewer were borne than it seemed. */
    if (now_ms < window->cut_ms + GRACE_MS) {
        if (hurt < window->hurt)
            window->hurt = hurt;
        return;
    }
    if (window->now < hurt)
        window->now = hurt;
    control_cut(window, hurt, 2, now_ms);
    window->now = (double)(open / 2 > 1 ? open / 2 : 1);
}

/* One that answered few a second when it went away may have had reasons of
 * its own: only at the second time around there is the rate the reason. */
void
replay_pace_fell(struct replay_pace *pace, int64_t now_ms)
{
    struct pace_control *rate = &pace->rate;
    double measured = replay_pace_measured(pace, now_ms) * FELL;
    bool again = rate->hurt > 0 && measured > rate->hurt * FELL;

    if (measured < PACE_SECOND)
        return; /* a target that just went away: the rate is not the reason */
    if (rate->hurt == 0 || measured < rate->hurt)
        rate->hurt = measured;
    rate->pause_ms =
        again || measured >= PACE_START_RATE ? HOLD_MAX_MS : HOLD_MIN_MS;
}
