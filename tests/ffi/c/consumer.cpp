// SPDX-License-Identifier: MIT
// A C++17 program as any other user of the library would write it: the handle in a std::unique_ptr, so that it is freed
// on every way out, and errors as exceptions. Prints the short name of the type. Exit status: 0 a verdict, 1 none, 2 an
// argument is no server, 3 the events do not tell what the result does.
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

#include <natprobe/natprobe.h>

namespace
{

struct ProbeDeleter {
    void operator()(np_probe *probe) const noexcept
    {
        np_probe_free(probe);
    }
};

using Probe = std::unique_ptr<np_probe, ProbeDeleter>;

class Error : public std::runtime_error
{
  public:
    Error(int code, const std::string &detail)
        : std::runtime_error(detail.empty() ? np_strerror(code) : detail), code_(code)
    {
    }
    int code() const noexcept
    {
        return code_;
    }

  private:
    int code_;
};

Probe make_probe()
{
    Probe probe{np_probe_new()};
    if (!probe)
        throw std::bad_alloc();
    return probe;
}

void check(int code, const std::string &detail)
{
    if (code != NP_OK)
        throw Error(code, detail);
}

np_result run(np_probe &probe)
{
    np_result result;
    const int code = np_probe_run(&probe, &result);
    check(code, result.detail);
    return result;
}

// No exception may leave a callback: the library is C.
void count(const np_event *event, void *user) noexcept
{
    auto &requests = *static_cast<unsigned *>(user);
    requests += event->kind == NP_EVENT_SENT ? 1 : 0;
}

} // namespace

int main(int argc, char **argv)
{
    unsigned requests = 0;
    try {
        const Probe probe = make_probe();
        for (int i = 1; i < argc; i++)
            check(np_probe_add_server(probe.get(), argv[i]), argv[i]);
        check(np_probe_set_events(probe.get(), count, &requests), "");
        const np_result result = run(*probe);
        std::printf("%s\n", np_nat_type_name(result.nat_type));
        return requests == result.packets_sent ? 0 : 3;
    } catch (const Error &error) {
        std::fprintf(stderr, "%s: %s\n", np_error_name(error.code()), error.what());
        return error.code() == NP_ERR_ARGUMENT ? 2 : 1;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
