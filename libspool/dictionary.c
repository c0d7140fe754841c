/* SPDX-License-Identifier: ISC */
#include "dictionary.h"

struct view
dictionary_shipped(void)
{
    return (struct view){NULL, 0};
}
