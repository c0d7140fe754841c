/* SPDX-License-Identifier: ISC */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mem.h"

#define GAP         2
#define NOTE_INDENT 4

void
table_begin(struct table *table, const struct table_column *columns,
            size_t n_columns)
{
    *table = (struct table){.columns = columns, .n_columns = n_columns};
}

static bool
is_shown(const struct table *table, size_t column)
{
    return text_columns() == 0 ||
           text_columns() >= table->columns[column].from_columns;
}

static size_t
cell_width(const struct table_cell *cell)
{
    size_t suffix = text_width(buf_view(&cell->suffix));

    return text_width(buf_view(&cell->text)) + (suffix > 0 ? suffix + 1 : 0);
}

/* --- filling ------------------------------------------------------------- */

static void
add_cleaned(struct buf *out, const char *format, va_list ap)
{
    char *words = NULL;

    if (vasprintf(&words, format, ap) < 0)
        abort();
    text_clean(view_of(words), out);
    free(words);
}

void
table_cell(struct table *table, enum text_look look, const char *format, ...)
{
    struct table_cell *cell = &table->row.cells[table->row.n_cells++];
    va_list ap;

    cell->look = look;
    va_start(ap, format);
    add_cleaned(&cell->text, format, ap);
    va_end(ap);
}

void
table_suffix(struct table *table, const char *format, ...)
{
    struct table_cell *cell = &table->row.cells[table->row.n_cells - 1];
    va_list ap;

    va_start(ap, format);
    add_cleaned(&cell->suffix, format, ap);
    va_end(ap);
}

void
table_note(struct table *table, const char *note)
{
    text_clean(view_of(note), &table->row.note);
}

/* --- widths -------------------------------------------------------------- */

static size_t
total_width(const struct table *table)
{
    size_t sum = 0, shown = 0;

    for (size_t c = 0; c < table->n_columns; c++) {
        if (!is_shown(table, c))
            continue;
        sum += table->widths[c];
        shown++;
    }
    return sum + (shown > 0 ? (shown - 1) * GAP : 0);
}

/* The widest column that may still shrink; n_columns: none. */
static size_t
widest(const struct table *table)
{
    size_t found = table->n_columns;

    for (size_t c = 0; c < table->n_columns; c++) {
        if (!is_shown(table, c) || table->columns[c].least == 0 ||
            table->widths[c] <= table->columns[c].least)
            continue;
        if (found == table->n_columns ||
            table->widths[c] > table->widths[found])
            found = c;
    }
    return found;
}

static void
decide_widths(struct table *table)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        table->widths[c] = strlen(table->columns[c].title);
        for (size_t r = 0; r < table->n_rows; r++) {
            size_t width = cell_width(&table->rows[r].cells[c]);

            if (table->widths[c] < width)
                table->widths[c] = width;
        }
    }
    while (text_columns() > 0 && total_width(table) > text_columns()) {
        size_t c = widest(table);

        if (c == table->n_columns)
            break;
        table->widths[c]--;
    }
}

/* --- printing ------------------------------------------------------------ */

static void
add_blanks(struct buf *line, size_t n)
{
    while (n-- > 0)
        buf_add_byte(line, ' ');
}

static void
add_cell(const struct table *table, size_t column,
         const struct table_cell *cell, struct buf *line)
{
    size_t width = table->widths[column];
    size_t suffix = text_width(buf_view(&cell->suffix));
    size_t room = width;
    size_t used = cell_width(cell);

    if (text_columns() == 0)
        room = SIZE_MAX;
    else if (suffix > 0)
        room = width > suffix + 1 ? width - suffix - 1 : 0;
    if (used > width && text_columns() > 0)
        used = width;
    if (table->columns[column].right && used < width)
        add_blanks(line, width - used);
    if (cell->look != TEXT_PLAIN)
        text_look(cell->look, line);
    text_cut(buf_view(&cell->text), room, line);
    if (cell->look != TEXT_PLAIN)
        text_look(TEXT_PLAIN, line);
    if (suffix > 0) {
        buf_add_byte(line, ' ');
        buf_add_view(line, buf_view(&cell->suffix));
    }
    if (!table->columns[column].right && used < width)
        add_blanks(line, width - used);
}

static void
print_row(const struct table *table, const struct table_row *row)
{
    struct buf line = {0};
    bool first = true;

    for (size_t c = 0; c < table->n_columns; c++) {
        if (!is_shown(table, c))
            continue;
        if (!first)
            add_blanks(&line, GAP);
        first = false;
        add_cell(table, c, &row->cells[c], &line);
    }
    while (line.len > 0 && line.data[line.len - 1] == ' ')
        line.len--;
    printf("%.*s\n", (int)line.len, line.data);
    if (row->note.len > 0)
        text_paragraph("", NOTE_INDENT, TEXT_PLAIN, "%.*s", (int)row->note.len,
                       row->note.data);
    buf_free(&line);
}

static void
row_free(struct table_row *row)
{
    for (size_t c = 0; c < TABLE_COLUMNS_MAX; c++) {
        buf_free(&row->cells[c].text);
        buf_free(&row->cells[c].suffix);
    }
    buf_free(&row->note);
    *row = (struct table_row){0};
}

static void
print_heading(const struct table *table)
{
    struct table_row row = {0};

    for (size_t c = 0; c < table->n_columns; c++) {
        buf_add_text(&row.cells[c].text, table->columns[c].title);
        row.cells[c].look = TEXT_HEADING;
    }
    print_row(table, &row);
    row_free(&row);
}

/* Enough rows were seen: from now on they are printed at once. */
static void
start_printing(struct table *table)
{
    decide_widths(table);
    table->printing = true;
    print_heading(table);
    for (size_t r = 0; r < table->n_rows; r++) {
        print_row(table, &table->rows[r]);
        row_free(&table->rows[r]);
    }
    free(table->rows);
    table->rows = NULL;
}

void
table_row_end(struct table *table)
{
    if (table->printing) {
        print_row(table, &table->row);
        row_free(&table->row);
        return;
    }
    table->rows =
        mem_grow(table->rows, table->n_rows + 1, sizeof(*table->rows));
    table->rows[table->n_rows++] = table->row;
    table->row = (struct table_row){0};
    if (table->n_rows == TABLE_LOOK_ROWS)
        start_printing(table);
}

bool
table_end(struct table *table)
{
    if (!table->printing && table->n_rows > 0)
        start_printing(table);
    return table->printing;
}
