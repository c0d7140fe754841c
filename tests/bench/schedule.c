/* SPDX-License-Identifier: ISC */
/*
 * schedule: replay's scheduler over a great backlog, on a virtual clock.
 *
 *     schedule MESSAGES TARGETS FAILING [SEED]
 *
 * FAILING of 100 targets fail in patterns. Prints a JSON object: processor
 * seconds it took and what the simulation found (simulation.h).
 */
#include "simulation.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double
cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
    struct simulation_plan plan = {.total = 500, .starting = 200, .seed = 1};
    struct simulation_result result;

    if (argc < 4)
        errx(2, "usage: schedule MESSAGES TARGETS FAILING [SEED]");
    plan.messages = strtoull(argv[1], NULL, 10);
    plan.targets = strtoull(argv[2], NULL, 10);
    plan.failing = strtoull(argv[3], NULL, 10);
    if (argc > 4)
        plan.seed = strtoull(argv[4], NULL, 10);
    simulation_run(&plan, &result);
    printf("{\"cpu\": %.3f, \"delivered\": %" PRIu64 ", \"events\": %" PRIu64
           ", \"faults\": %" PRIu64 ", \"fault\": \"%s\", "
           "\"working_max\": %zu, \"starting_max\": %zu, "
           "\"virtual_ms\": %" PRId64 ", \"sound_ms\": %" PRId64
           ", \"longest_ms\": %" PRId64 ", \"probe_late_ms\": %" PRId64 "}\n",
           cpu_seconds(), result.delivered, result.events, result.faults,
           result.fault != NULL ? result.fault : "", result.working_max,
           result.starting_max, result.virtual_ms, result.sound_ms,
           result.longest_ms, result.probe_late_ms);
    return result.faults > 0;
}
