/* SPDX-License-Identifier: MIT */
/* Files with a server on each line, as natprobe --survey prints them and natprobe -S takes them. */
#ifndef NATPROBE_LISTS_H
#define NATPROBE_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The file, or stdin for "-". NULL, with a message, if it cannot be opened. */
FILE *open_list(const char *path);
void close_list(FILE *file);

typedef enum line_state { LINE_END, LINE_WHOLE, LINE_CUT, LINE_TOO_LONG } line_state;
/*
 * The next line, without its end. LINE_CUT: the file ended before the line did. LINE_TOO_LONG: the rest of it was
 * passed over. Bytes that are 0 become '?'.
 */
line_state read_line(FILE *file, char *out, size_t size);
/* The server on a line: without a comment ("#" and what follows) and spaces. Empty: there is none. */
char *server_on(char *line);

/*
 * The servers of a file, in random order, and of a longer list a random choice: as many as there is room for. They live
 * as long as the program. False, with a message, if the file cannot be read or has none.
 */
bool choose_from_list(const char *path, const char **servers, size_t *count, size_t room);

#endif
