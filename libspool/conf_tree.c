/* SPDX-License-Identifier: ISC */
/*
 * The only file that knows libconfuse. Every key is a pointer option: the
 * library hands over the text, we keep it with its place, and conf.c makes a
 * value of it later, when all is read. So one place knows numbers, sizes and
 * durations (num.h), and an error found late still names its line.
 *
 * The library hands no argument of ours to its callbacks and its lexer is
 * static: "parsing" is the one load under way.
 */
#include "conf_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "conf_scan.h"
#include "file.h"
#include "mem.h"

#define FILE_MAX_BYTES    (16 * 1024 * 1024)
#define INCLUDE_DEPTH_MAX 10

struct conf_file {
    char *name;      /* as shown in reasons */
    char *directory; /* absolute */
    struct conf_spans spans;
};

struct conf_tree {
    cfg_t *root;
    struct conf_file **files; /* values point into them */
    size_t n_files;
};

static struct parse {
    struct conf_tree *tree;
    const struct conf_file *file; /* being read */
    int depth;
    bool failed; /* *why is set; the first reason counts */
    struct why *why;
    /* A value that the library gave back while parsing was overwritten. */
    const char *replaced_key;
    const char *replaced_file;
    unsigned replaced_line;
} * parsing;

/* --- what went wrong, the first time ------------------------------------- */

static int tree_fail(const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int
tree_fail(const char *file, unsigned line, const char *format, ...)
{
    char text[WHY_TEXT_MAX];
    va_list ap;

    if (parsing->failed)
        return -1;
    parsing->failed = true;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (line == 0)
        return why_text(parsing->why, "%s: %s", file, text);
    return why_text(parsing->why, "%s:%u: %s", file, line, text);
}

static void
tree_on_error(cfg_t *cfg, const char *format, va_list ap)
{
    char text[WHY_TEXT_MAX];

    vsnprintf(text, sizeof(text), format, ap);
    if (cfg->title != NULL)
        tree_fail(parsing->file->name, (unsigned)cfg->line, "%s \"%s\": %s",
                  cfg->name, cfg->title, text);
    else if (cfg != parsing->tree->root)
        tree_fail(parsing->file->name, (unsigned)cfg->line, "%s: %s", cfg->name,
                  text);
    else
        tree_fail(parsing->file->name, (unsigned)cfg->line, "%s", text);
}

/* --- the library's callbacks --------------------------------------------- */

static int
tree_on_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
    struct conf_value *value;
    size_t size = strlen(text) + 1;

    if (parsing->replaced_key == opt->name)
        return tree_fail(parsing->file->name, (unsigned)cfg->line,
                         "%s is set already at %s:%u", opt->name,
                         parsing->replaced_file, parsing->replaced_line);
    value = mem_alloc(sizeof(*value) + size);
    value->key = opt->name;
    value->file = parsing->file->name;
    value->directory = parsing->file->directory;
    value->line = (unsigned)cfg->line;
    memcpy(value->text, text, size);
    *(void **)result = value;
    return 0;
}

static void
tree_on_free(void *arg)
{
    const struct conf_value *value = arg;

    if (parsing != NULL && parsing->replaced_key == NULL) {
        parsing->replaced_key = value->key;
        parsing->replaced_file = value->file;
        parsing->replaced_line = value->line;
    }
    free(arg);
}

static int tree_parse(cfg_t *cfg, const char *name);

static int
tree_on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
    const char *here = parsing->file->name;
    const char *slash = strrchr(here, '/');
    struct buf name = {0};
    int result;

    (void)opt;
    if (argc != 1 || argv[0][0] == '\0')
        return tree_fail(here, (unsigned)cfg->line,
                         "include takes the name of one file");
    if (parsing->depth == INCLUDE_DEPTH_MAX)
        return tree_fail(here, (unsigned)cfg->line,
                         "includes are nested more than %d deep",
                         INCLUDE_DEPTH_MAX);
    if (argv[0][0] != '/' && slash != NULL)
        buf_add(&name, here, (size_t)(slash + 1 - here));
    buf_add(&name, argv[0], strlen(argv[0]) + 1);
    result = tree_parse(cfg, name.data);
    buf_free(&name);
    return result;
}

/* --- files --------------------------------------------------------------- */

static struct conf_file *
tree_add_file(struct conf_tree *tree, const char *name)
{
    struct conf_file *file = mem_alloc(sizeof(*file));
    const char *slash = strrchr(name, '/');
    char *directory = mem_copy_text(".");

    if (slash != NULL) {
        free(directory);
        directory = mem_copy(name, (size_t)(slash + 1 - name));
    }
    file->name = mem_copy_text(name);
    file->directory = realpath(directory, NULL);
    if (file->directory != NULL)
        free(directory);
    else
        file->directory = directory; /* reading the file will say why */
    tree->files =
        mem_grow(tree->files, tree->n_files + 1, sizeof(tree->files[0]));
    tree->files[tree->n_files++] = file;
    return file;
}

/* Gives the library a text that conf_scan passed, under the file's name. The
 * section may be in the middle of another file. */
static int
tree_parse_text(cfg_t *cfg, const struct conf_file *file, struct buf *text)
{
    const struct conf_file *outer = parsing->file;
    char *outer_name = cfg->filename;
    int outer_line = cfg->line, result;
    FILE *stream = fmemopen(text->data, text->len, "r");

    if (stream == NULL)
        return tree_fail(file->name, 0, "%s", strerror(errno));
    cfg->filename = mem_copy_text(file->name);
    parsing->file = file;
    parsing->depth++;
    result = cfg_parse_fp(cfg, stream);
    parsing->depth--;
    parsing->file = outer;
    free(cfg->filename);
    cfg->filename = outer_name;
    cfg->line = outer_line;
    fclose(stream);
    return result == CFG_SUCCESS && !parsing->failed ? 0 : -1;
}

static int
tree_parse(cfg_t *cfg, const char *name)
{
    const struct conf_file *outer = parsing->file;
    struct conf_file *file = tree_add_file(parsing->tree, name);
    struct buf text = {0};
    struct why bad;
    unsigned line;
    int result;

    if (file_read(name, FILE_MAX_BYTES, &text, &bad) != 0) {
        if (outer == NULL)
            result = tree_fail(name, 0, "%s", bad.text);
        else
            result = tree_fail(outer->name, (unsigned)cfg->line, "%s: %s", name,
                               bad.text);
    } else if (conf_scan(&text, &file->spans, &line, &bad) != 0) {
        result = tree_fail(name, line, "%s", bad.text);
    } else {
        buf_add_byte(&text, '\n');
        result = tree_parse_text(cfg, file, &text);
    }
    buf_free(&text);
    return result;
}

/* --- the grammar, made of the table -------------------------------------- */

static cfg_opt_t
option_of_key(const struct conf_key *key)
{
    return (cfg_opt_t){
        .name = key->name,
        .type = CFGT_PTR,
        .flags = conf_kind_is_list(key->kind) ? CFGF_LIST : CFGF_NONE,
        .parsecb = tree_on_value,
        .freecb = tree_on_free,
    };
}

/* The options of one section at out, which has room for all keys, an include
 * and the end mark (a zeroed option); returns how many there are. */
static size_t
section_options(enum conf_section section, cfg_opt_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < conf_n_keys; i++)
        if (conf_keys[i].section == section)
            out[n++] = option_of_key(&conf_keys[i]);
    out[n++] = (cfg_opt_t){
        .name = "include", .type = CFGT_FUNC, .func = tree_on_include};
    return n;
}

static cfg_t *
tree_grammar(void)
{
    /* cfg_init copies all of it. */
    size_t room = conf_n_keys + CONF_SECTION_COUNT + 2;
    cfg_opt_t *all = mem_alloc(room * CONF_SECTION_COUNT * sizeof(*all));
    size_t n = section_options(CONF_ROOT, all);
    cfg_t *root;

    for (unsigned s = CONF_ROOT + 1; s < CONF_SECTION_COUNT; s++) {
        section_options(s, all + s * room);
        all[n++] = (cfg_opt_t){
            .name = conf_sections[s].name,
            .type = CFGT_SEC,
            .subopts = all + s * room,
            .flags = conf_sections[s].titled
                         ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES
                         : CFGF_NONE,
        };
    }
    root = cfg_init(all, CFGF_NONE);
    cfg_set_error_function(root, tree_on_error);
    free(all);
    return root;
}

struct conf_tree *
conf_tree_load(const char *path, struct why *why)
{
    struct conf_tree *tree = mem_alloc(sizeof(*tree));
    struct parse parse = {.tree = tree, .why = why};

    tree->root = tree_grammar();
    parsing = &parse;
    if (tree_parse(tree->root, path) == 0 && parse.replaced_key != NULL)
        tree_fail(parse.replaced_file, parse.replaced_line, "%s is set twice",
                  parse.replaced_key);
    parsing = NULL;
    if (parse.failed)
        conf_tree_free(&tree);
    return tree;
}

void
conf_tree_free(struct conf_tree **tree)
{
    if (*tree == NULL)
        return;
    cfg_free((*tree)->root);
    for (size_t i = 0; i < (*tree)->n_files; i++) {
        struct conf_file *file = (*tree)->files[i];

        free(file->name);
        free(file->directory);
        conf_spans_free(&file->spans);
        free(file);
    }
    free((*tree)->files);
    free(*tree);
    *tree = NULL;
}

/* --- questions ----------------------------------------------------------- */

static cfg_t *
tree_section(const struct conf_tree *tree, enum conf_section section, size_t i)
{
    if (section == CONF_ROOT)
        return tree->root;
    return cfg_getnsec(tree->root, conf_sections[section].name, (unsigned)i);
}

size_t
conf_tree_count(const struct conf_tree *tree, enum conf_section section)
{
    if (!conf_sections[section].titled)
        return 1;
    return cfg_size(tree->root, conf_sections[section].name);
}

const char *
conf_tree_title(const struct conf_tree *tree, enum conf_section section,
                size_t i)
{
    return cfg_title(tree_section(tree, section, i));
}

size_t
conf_tree_n_values(const struct conf_tree *tree, const struct conf_key *key,
                   size_t i)
{
    return cfg_size(tree_section(tree, key->section, i), key->name);
}

const struct conf_value *
conf_tree_value(const struct conf_tree *tree, const struct conf_key *key,
                size_t i, size_t n)
{
    return cfg_getnptr(tree_section(tree, key->section, i), key->name,
                       (unsigned)n);
}

/* The first value of a key, NULL where it has none. */
static const struct conf_value *
value_of_key(const struct conf_tree *tree, enum conf_section section, size_t i,
             const char *key)
{
    for (size_t k = 0; k < conf_n_keys && key != NULL; k++)
        if (conf_keys[k].section == section &&
            strcmp(conf_keys[k].name, key) == 0 &&
            conf_tree_n_values(tree, &conf_keys[k], i) > 0)
            return conf_tree_value(tree, &conf_keys[k], i, 0);
    return NULL;
}

bool
conf_tree_has(const struct conf_tree *tree, enum conf_section section, size_t i,
              const char *key)
{
    return value_of_key(tree, section, i, key) != NULL;
}

/* Where a titled section opens; the whole file for the others. */
static void
place_of_section(const struct conf_tree *tree, enum conf_section section,
                 size_t i, const char **name, unsigned *line)
{
    const cfg_t *cfg = tree_section(tree, section, i);

    *name = tree->files[0]->name;
    *line = 0;
    if (!conf_sections[section].titled)
        return;
    for (size_t k = 0; k < tree->n_files; k++)
        if (strcmp(tree->files[k]->name, cfg->filename) == 0) {
            *name = tree->files[k]->name;
            *line =
                conf_spans_opened(&tree->files[k]->spans, (unsigned)cfg->line);
            return;
        }
}

int
conf_tree_why(const struct conf_tree *tree, enum conf_section section, size_t i,
              const char *key, struct why *why, const char *format, ...)
{
    const struct conf_value *value = value_of_key(tree, section, i, key);
    char text[WHY_TEXT_MAX];
    const char *name;
    unsigned line;
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (value != NULL)
        return why_text(why, "%s:%u: %s", value->file, value->line, text);
    place_of_section(tree, section, i, &name, &line);
    if (line > 0)
        return why_text(why, "%s:%u: %s", name, line, text);
    return why_text(why, "%s: %s", name, text);
}
