/* SPDX-License-Identifier: ISC */
/*
 * Aligned columns for lists of any length: the first TABLE_LOOK_ROWS rows
 * decide how wide the columns are, later ones are printed as they come. On a
 * terminal columns that may shrink give way until a row fits; otherwise
 * nothing is cut.
 */
#ifndef SPOOLCTL_TABLE_H
#define SPOOLCTL_TABLE_H

#include "buf.h"
#include "text.h"

#define TABLE_COLUMNS_MAX 12
#define TABLE_LOOK_ROWS   500

struct table_column {
    const char *title;
    bool right;   /* numbers */
    size_t least; /* may shrink to this; 0: never */
    /* Terminals narrower than this do without the column; 0: always there.
     * Where output is not a terminal it is there. */
    size_t from_columns;
};

struct table_cell {
    struct buf text;   /* cleaned */
    struct buf suffix; /* not cut: "+4" */
    enum text_look look;
};

struct table_row {
    struct table_cell cells[TABLE_COLUMNS_MAX];
    size_t n_cells;
    struct buf note; /* a line below the row */
};

struct table {
    const struct table_column *columns;
    size_t n_columns;
    bool printing; /* the widths are known */
    size_t widths[TABLE_COLUMNS_MAX];
    struct table_row *rows;
    size_t n_rows;
    struct table_row row; /* under construction */
};

void table_begin(struct table *table, const struct table_column *columns,
                 size_t n_columns);
/* The next cell of the row, one for each column, shown or not. */
void table_cell(struct table *table, enum text_look look, const char *format,
                ...) __attribute__((format(printf, 3, 4)));
/* Something to keep beside the last cell even when that is cut. */
void table_suffix(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A remark below the row, in its own lines. */
void table_note(struct table *table, const char *text);
void table_row_end(struct table *table);
/* Prints what is still kept back; false: there was not a single row. */
bool table_end(struct table *table);

#endif
