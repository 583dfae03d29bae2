/* SPDX-License-Identifier: MIT */
#include "natprobe_getopt.h"

#if defined(_MSC_VER) || defined(NATPROBE_OWN_GETOPT)

#include <string.h>

#include "natprobe_outlook.h"

char *optarg;
int optind = 1;

static char *rest; /* of the letters in one argument; NULL: none */

static int refuse(const char *what, size_t length, const char *name)
{
    complain("%s '%.*s'", what, (int)length, name);
    return '?';
}

/* The option of this name, or the only one whose name begins so. NULL: none. */
static const struct option *find(const char *name, size_t length, const struct option *options)
{
    const struct option *found = NULL;
    int count = 0;
    for (const struct option *o = options; o->name != NULL; o++) {
        if (strncmp(o->name, name, length) != 0)
            continue;
        if (strlen(o->name) == length)
            return o;
        found = o;
        count++;
    }
    return count == 1 ? found : NULL;
}

static int take_name(int argc, char *const *argv, const struct option *options)
{
    char *text = argv[optind++];
    char *name = text + strlen("--");
    size_t length = strcspn(name, "=");
    const struct option *o = find(name, length, options);
    bool has_value = name[length] == '=';
    if (o == NULL)
        return refuse("unknown or ambiguous option", strlen(text), text);
    if (o->has_arg == no_argument)
        return has_value ? refuse("no argument is allowed for option", length + 2, text) : o->val;
    if (!has_value && optind == argc)
        return refuse("an argument is missing after option", strlen(text), text);
    optarg = has_value ? name + length + 1 : argv[optind++];
    return o->val;
}

static int take_letter(int argc, char *const *argv, const char *letters)
{
    char letter = *rest++;
    const char *known = letter != ':' ? strchr(letters, letter) : NULL;
    bool is_last = *rest == '\0';
    bool has_argument = known != NULL && known[1] == ':';
    if (is_last || has_argument)
        optind++;
    if (has_argument && !is_last)
        optarg = rest;
    if (has_argument && is_last && optind < argc)
        optarg = argv[optind++];
    if (is_last || has_argument)
        rest = NULL;
    if (known == NULL)
        return refuse("unknown option", 1, &letter);
    if (has_argument && optarg == NULL)
        return refuse("an argument is missing after option", 1, &letter);
    return letter;
}

int getopt_long(int argc, char *const *argv, const char *letters, const struct option *options, int *index)
{
    (void)index;
    optarg = NULL;
    if (rest != NULL)
        return take_letter(argc, argv, letters);
    if (optind >= argc || argv[optind][0] != '-' || argv[optind][1] == '\0')
        return -1;
    if (strcmp(argv[optind], "--") == 0) {
        optind++;
        return -1;
    }
    if (argv[optind][1] == '-')
        return take_name(argc, argv, options);
    rest = argv[optind] + 1;
    return take_letter(argc, argv, letters);
}

#else
typedef int natprobe_getopt_is_the_systems; /* a source that is empty is none */
#endif
