/* SPDX-License-Identifier: MIT */
/* What the gate must find: a function never called, and branches that never go one of their ways. */

static int never_called(int n)
{
    return n + 1;
}

static int taken_one_way(int n)
{
    return n > 0 ? n + 2 : 7; /* taken_one_way: always the first */
}

static int done_both_ways(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) /* done_both_ways */
        sum += i;
    return sum;
}

static int skipped(int n)
{
    if (n == 1)
        return n < 0 || n > 9 ? -1 : 1; /* never_asked */
    return 0;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1000)
        return never_called(argc);
    return taken_one_way(argc) + done_both_ways(3) + skipped(2) == 6 ? 0 : 1;
}
