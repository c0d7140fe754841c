/* SPDX-License-Identifier: ISC */
/*
 * table of spoolctl: columns line up, give way on a narrow terminal, and long
 * lists keep the widths of their beginning.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "table.h"
#include "terminal.h"

#define DOTS  "\xe2\x80\xa6"
#define KANJI "\xe6\x97\xa5"
#define BOLD  "\033[1m"
#define OFF   "\033[0m"

static const struct table_column columns[] = {
    {"NAME", false, 6, 0},
    {"SIZE", true, 0, 0},
    {"EXTRA", false, 0, 60},
    {"TEXT", false, 6, 0},
};

static void
add_row(struct table *table, const char *name, int size, const char *text,
        const char *suffix)
{
    table_cell(table, TEXT_PLAIN, "%s", name);
    table_cell(table, TEXT_PLAIN, "%d", size);
    table_cell(table, TEXT_PLAIN, "%s", "extra");
    table_cell(table, TEXT_PLAIN, "%s", text);
    if (suffix != NULL)
        table_suffix(table, "%s", suffix);
}

static void
test_file(void **state)
{
    struct table table;

    (void)state;
    terminal_begin(0);
    table_begin(&table, columns, 4);
    add_row(&table, "a", 1, "\x1b[2J", NULL);
    table_row_end(&table);
    add_row(&table, KANJI KANJI "-a-very-long-name", 12345, "short", "+2");
    table_note(&table, "a remark");
    table_row_end(&table);
    assert_true(table_end(&table));
    terminal_end("NAME                    SIZE  EXTRA  TEXT\n"
                 "a                          1  extra  ?[2J\n" KANJI KANJI
                 "-a-very-long-name  12345  extra  short +2\n"
                 "    a remark\n");
}

static void
test_narrow(void **state)
{
    struct table table;

    (void)state;
    terminal_begin(40);
    table_begin(&table, columns, 4);
    add_row(&table, "a-name-that-is-longer-than-it-may-be", 1,
            "and-a-text-that-is-longer-than-it-may-be", "+17");
    table_row_end(&table);
    add_row(&table, "b", 12345, "x", "+1");
    table_row_end(&table);
    table_end(&table);
    terminal_end(BOLD "NAME" OFF "              " BOLD "SIZE" OFF "  " BOLD
                      "TEXT" OFF "\n"
                      "a-name-that-is" DOTS "      1  and-a-text-" DOTS " +17\n"
                      "b                12345  x +1\n");
}

static void
test_empty(void **state)
{
    struct table table;

    (void)state;
    terminal_begin(80);
    table_begin(&table, columns, 4);
    assert_false(table_end(&table));
    terminal_end("");
}

/* After TABLE_LOOK_ROWS rows are printed as they come. */
static void
test_long(void **state)
{
    static char expected[TABLE_LOOK_ROWS * 40 + 400];
    size_t len = (size_t)sprintf(expected, "NAME  SIZE  EXTRA  TEXT\n");
    struct table table;

    (void)state;
    terminal_begin(0);
    table_begin(&table, columns, 4);
    for (int i = 0; i < TABLE_LOOK_ROWS + 3; i++) {
        add_row(&table, "n", i, "t", NULL);
        table_row_end(&table);
        len += (size_t)sprintf(expected + len, "n     %4d  extra  t\n", i);
    }
    assert_true(table.printing && table.n_rows == TABLE_LOOK_ROWS);
    add_row(&table, "longer-than-before", 1, "t", NULL);
    table_row_end(&table);
    sprintf(expected + len, "longer-than-before     1  extra  t\n");
    table_end(&table);
    terminal_end(expected);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_long),
    };

    setenv("LC_ALL", "C.UTF-8", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
