// SPDX-License-Identifier: MIT
// The shortest useful program. Asks the servers given as arguments, or the built-in ones.
#include <cstdio>
#include <exception>

#include <natprobe/natprobe.hpp>

int main(int argc, char **argv)
{
    try {
        natprobe::probe probe;
        for (int i = 1; i < argc; i++)
            probe.add_server(argv[i]);
        const np_result result = probe.run();
        std::printf("%s, seen as %s port %u\n", np_nat_type_description(result.nat_type), result.external_ip,
                    static_cast<unsigned>(result.external_port));
        return 0;
    } catch (const natprobe::error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return error.status() == NP_ERR_ARGUMENT ? 2 : 1;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
