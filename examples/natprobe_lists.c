/* SPDX-License-Identifier: MIT */
/* The part of natprobe that reads files with a server on each line. */
#include "natprobe_lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <natprobe/natprobe.h>

#ifdef _WIN32
#include <process.h>
#define getpid _getpid
#else
#include <unistd.h>
#endif

#include "natprobe_outlook.h"

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

FILE *open_list(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL)
        complain("cannot read '%s': %s", path, strerror(errno));
    return file;
}

void close_list(FILE *file)
{
    if (file != stdin)
        fclose(file);
}

line_state read_line(FILE *file, char *out, size_t size)
{
    size_t length = 0;
    int c;
    while ((c = getc(file)) != EOF && c != '\n') {
        if (length + 1 < size)
            out[length] = (char)(c != '\0' ? c : '?');
        length++;
    }
    out[length < size ? length : size - 1] = '\0';
    if (c == EOF && length == 0)
        return LINE_END;
    if (length >= size)
        return LINE_TOO_LONG;
    return c == EOF ? LINE_CUT : LINE_WHOLE;
}

char *server_on(char *line)
{
    static const char spaces[] = " \t\r\v\f";
    if (strncmp(line, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        line += strlen(BYTE_ORDER_MARK);
    line += strspn(line, spaces);
    line[strcspn(line, "#")] = '\0';
    size_t length = strlen(line);
    while (length > 0 && strchr(spaces, line[length - 1]) != NULL)
        length--;
    line[length] = '\0';
    return line;
}

/* Good enough to spread the load on the servers of a list that many have. */
static size_t random_below(size_t limit)
{
    static bool is_seeded;
    if (!is_seeded)
        srand((unsigned)time(NULL) ^ (unsigned)getpid() << 8);
    is_seeded = true;
    return ((size_t)rand() << 15 ^ (size_t)rand()) % limit; /* rand() may have 15 bits only */
}

/* Each line ends up in the choice with the same chance, and in any place of it (Vitter's algorithm R, shuffled). */
static void choose(char (*chosen)[NP_SERVER_TEXT_SIZE], size_t room, size_t number, const char *server)
{
    size_t place = random_below(number + 1);
    if (number < room) {
        if (place != number)
            memcpy(chosen[number], chosen[place], sizeof chosen[number]);
        snprintf(chosen[place], sizeof chosen[place], "%s", server);
    } else if (place < room) {
        snprintf(chosen[place], sizeof chosen[place], "%s", server);
    }
}

bool choose_from_list(const char *path, const char **servers, size_t *count, size_t room)
{
    static char chosen[NP_MAX_SERVERS][NP_SERVER_TEXT_SIZE];
    static bool is_used;
    char line[NP_SERVER_TEXT_SIZE + 256];
    size_t number = 0;
    unsigned long line_number = 0;
    line_state state;
    FILE *file = is_used ? NULL : open_list(path);
    if (is_used)
        complain("-S can be given once");
    if (file == NULL)
        return false;
    is_used = true;
    while ((state = read_line(file, line, sizeof line)) != LINE_END) {
        const char *server = server_on(line);
        line_number++;
        if (state == LINE_TOO_LONG || strlen(server) >= sizeof chosen[0]) {
            complain("%s:%lu: this line is no server", path, line_number);
            close_list(file);
            return false;
        }
        if (server[0] != '\0' && room > 0)
            choose(chosen, room, number++, server);
    }
    close_list(file);
    *count = number < room ? number : room;
    for (size_t i = 0; i < *count; i++)
        servers[i] = chosen[i];
    if (number == 0)
        complain("'%s' has no servers", path);
    return number > 0;
}
