/* SPDX-License-Identifier: ISC */
#include "reading.h"

#include "stats.h"

#define BAD_MAX (STATS_CELLS - 2) /* the oldest gives way */

enum { CELL_NOW, CELL_COUNT, CELL_BAD };

void
reading_start(void)
{
    uint64_t now = stats_cell(CELL_NOW), count = stats_cell(CELL_COUNT);

    if (now == 0)
        return;
    stats_cell_set(CELL_BAD + (unsigned)(count % BAD_MAX), now);
    stats_cell_set(CELL_COUNT, count + 1);
    stats_cell_set(CELL_NOW, 0);
}

bool
reading_begin(uint64_t id, struct why *why)
{
    for (unsigned i = 0; i < BAD_MAX; i++)
        if (stats_cell(CELL_BAD + i) == id) {
            why_text(why, "reading it ended a process: the disk, or the file, "
                          "is damaged there");
            return false;
        }
    stats_cell_set(CELL_NOW, id);
    return true;
}

void
reading_end(void)
{
    stats_cell_set(CELL_NOW, 0);
}
