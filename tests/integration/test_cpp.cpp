// SPDX-License-Identifier: MIT
// natprobe.hpp on loopback: who owns what, what a callback may do, and which way errors and exceptions take. Compiled
// without exceptions, it runs those cases that throw nothing.
#include <natprobe/natprobe.hpp>
#include <natprobe/natprobe.hpp>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include "cpp_server.h"

extern "C" {
np_probe *__real_np_probe_new(void);
np_probe *__wrap_np_probe_new(void);
}

using namespace std::chrono_literals;
using natprobe::probe;
using natprobe::status;

static_assert(!std::is_copy_constructible_v<probe> && !std::is_copy_assignable_v<probe>);
static_assert(std::is_nothrow_move_constructible_v<probe> && std::is_nothrow_move_assignable_v<probe>);
static_assert(noexcept(std::declval<probe &>().try_run(std::declval<np_result &>())));
static_assert(noexcept(std::declval<probe &>().try_process(std::declval<np_result &>())));

static bool is_memory_refused = false;

np_probe *__wrap_np_probe_new(void)
{
    return is_memory_refused ? nullptr : __real_np_probe_new();
}

namespace
{

int failures = 0; // of the case that is running

void expect(bool holds, const char *what, int line)
{
    if (holds)
        return;
    std::printf("# line %d: not so: %s\n", line, what);
    failures++;
}
#define EXPECT(what) expect(what, #what, __LINE__)

// A server on loopback, for as long as the object lives. It answers, or it does not.
class server
{
  public:
    explicit server(bool is_silent = false) : running_(cpp_server_start(is_silent))
    {
    }
    const char *name() const
    {
        return stun_server_name(running_.get());
    }
    const stun_server *get() const
    {
        return running_.get();
    }

  private:
    struct stopping {
        void operator()(stun_server *running) const
        {
            stun_server_stop(running);
        }
    };
    std::unique_ptr<stun_server, stopping> running_;
};

probe asking(const server &asked)
{
    probe made{std::nothrow};
    EXPECT(made.try_add_server(asked.name()).is_ok());
    return made;
}

// In an event loop that has nothing else to do, up to the end.
status process_all(probe &p, np_result &result)
{
    for (;;) {
        const status done = p.try_process(result);
        if (!done.is_pending())
            return done;
        pollfd readable = {p.fd(), POLLIN, 0};
        EXPECT(poll(&readable, 1, 30000) == 1);
    }
}

// ---- With exceptions and without

void a_verdict()
{
    const server asked;
    probe p = asking(asked);
    unsigned sent = 0;
    std::vector<std::string> lines;
    EXPECT(p.try_set_events([&](const np_event &event) { sent += event.kind == NP_EVENT_SENT ? 1U : 0U; }).is_ok());
    EXPECT(p.try_set_log(NP_LOG_DEBUG, [&](np_log_level level, const char *message) {
                EXPECT(level >= NP_LOG_ERROR && level <= NP_LOG_DEBUG);
                lines.emplace_back(message);
            }).is_ok());
    np_result result;
    EXPECT(p.try_run(result).is_ok());
    EXPECT(result.nat_type != NP_NAT_UNKNOWN);
    EXPECT(sent == result.packets_sent && sent > 0);
    EXPECT(!lines.empty());
}

void settings()
{
    probe p{std::nothrow};
    EXPECT(p.try_set_source("127.0.0.1", 0).is_ok());
    EXPECT(p.try_set_source("300.0.0.1") == NP_ERR_ARGUMENT);
    EXPECT(p.try_set_interface("lo").is_ok());
    EXPECT(p.try_set_interface("") == NP_ERR_ARGUMENT);
    EXPECT(p.try_add_server("127.0.0.1:") == NP_ERR_ARGUMENT);
    EXPECT(p.try_clear_servers().is_ok());
    EXPECT(p.try_set_family(NP_FAMILY_IPV6).is_ok());
    EXPECT(p.try_set_tests(NP_TESTS_MAPPING | NP_TESTS_FILTERING).is_ok());
    EXPECT(p.try_set_tests(0) == NP_ERR_ARGUMENT);
    EXPECT(p.try_set_socket(NP_INVALID_SOCKET, nullptr).is_ok());
    EXPECT(p.try_set_timeout(2s).is_ok());
    EXPECT(p.try_set_response_timeout(200ms).is_ok());
    EXPECT(p.try_set_lifetime_limit(3600s).is_ok());
    EXPECT(p.try_set_lifetime_limit(1min).is_ok());
    for (const std::chrono::seconds limit : {0s, -1s, 3601s, 4294967297s})
        EXPECT(p.try_set_lifetime_limit(limit) == NP_ERR_ARGUMENT);
    for (const std::chrono::milliseconds time : {0ms, -1ms, 3600001ms, 4294967297ms}) {
        EXPECT(p.try_set_timeout(time) == NP_ERR_ARGUMENT);
        EXPECT(p.try_set_response_timeout(time) == NP_ERR_ARGUMENT);
    }
    const status refused = p.try_set_tests(0);
    EXPECT(std::strcmp(refused.name(), "argument") == 0);
    EXPECT(std::strcmp(refused.message(), np_strerror(NP_ERR_ARGUMENT)) == 0);
    np_result result;
    EXPECT(natprobe::try_check_nat(result, "300.0.0.1") == NP_ERR_ARGUMENT);
    EXPECT(natprobe::try_check_nat_dual(result, result) == NP_ERR_ARGUMENT);
}

void an_event_loop()
{
    const server asked;
    probe p = asking(asked);
    np_result result;
    EXPECT(p.fd() == NP_INVALID_SOCKET);
    EXPECT(p.try_process(result) == NP_ERR_ARGUMENT);
    EXPECT(p.try_start().is_ok());
    EXPECT(p.try_start() == NP_ERR_BUSY);
    probe other = std::move(p); // also while a check goes on
    EXPECT(process_all(other, result).is_ok());
    EXPECT(process_all(other, result) == NP_ERR_ARGUMENT);
}

void a_cancel()
{
    const server silent(true);
    probe p = asking(silent);
    np_result result;
    EXPECT(p.try_start().is_ok());
    std::thread([&] { p.cancel(); }).join();
    EXPECT(process_all(p, result) == NP_ERR_CANCELLED);
    EXPECT(p.take_exception() == nullptr);
}

void an_empty_probe()
{
    probe p{std::nothrow};
    probe other = std::move(p);
    is_memory_refused = true;
    probe refused{std::nothrow};
    is_memory_refused = false;
    EXPECT(static_cast<bool>(other));
    for (probe *empty : {&p, &refused}) {
        np_result result;
        EXPECT(!*empty && empty->get() == nullptr && empty->fd() == NP_INVALID_SOCKET);
        EXPECT(empty->try_set_source(nullptr) == NP_ERR_ARGUMENT);
        EXPECT(empty->try_set_log(NP_LOG_INFO, [](np_log_level, const char *) {}) == NP_ERR_ARGUMENT);
        EXPECT(empty->try_run(result) == NP_ERR_ARGUMENT);
        EXPECT(empty->try_start() == NP_ERR_ARGUMENT);
        EXPECT(empty->try_process(result) == NP_ERR_ARGUMENT);
        EXPECT(empty->take_exception() == nullptr);
        empty->cancel();
    }
    p = std::move(other);
    EXPECT(p && !other);
}

// The probe keeps what a callback holds as long as it may be called, and no longer.
void what_callbacks_hold()
{
    const auto held = std::make_shared<int>(0);
    const auto event = [held](const np_event &) {};
    {
        const server silent(true);
        probe p = asking(silent);
        EXPECT(p.try_set_events(event).is_ok());
        EXPECT(held.use_count() == 3);
        EXPECT(p.try_start().is_ok());
        EXPECT(p.try_set_events(nullptr) == NP_ERR_BUSY);
        EXPECT(held.use_count() == 3);
        p.cancel();
        np_result result;
        EXPECT(process_all(p, result) == NP_ERR_CANCELLED);
        EXPECT(p.try_set_events(nullptr).is_ok());
        EXPECT(held.use_count() == 2);
        EXPECT(p.try_set_events(event).is_ok());
        probe other = std::move(p);
        EXPECT(held.use_count() == 3);
        other = asking(silent);
        EXPECT(held.use_count() == 2);
        EXPECT(other.try_set_events(event).is_ok());
    }
    EXPECT(held.use_count() == 2);
}

void an_own_socket()
{
    const server asked;
    std::uint16_t port = 0;
    std::uint16_t other_port = 0;
    const int own = cpp_server_bind(asked.get(), &port);
    const int other = cpp_server_bind(asked.get(), &other_port);
    EXPECT(own >= 0 && other >= 0);
    cpp_server_send(asked.get(), other, port, "hello");

    const auto held = std::make_shared<std::string>();
    const auto take = [held](const void *data, std::size_t size, const sockaddr *address, std::size_t address_size) {
        EXPECT(address != nullptr && address_size > 0);
        held->append(static_cast<const char *>(data), size);
    };
    probe p = asking(asked);
    EXPECT(p.try_set_socket(own, nullptr) == NP_ERR_ARGUMENT);
    EXPECT(p.try_set_socket(own, take).is_ok());
    np_result result;
    EXPECT(p.try_run(result).is_ok());
    EXPECT(result.local_port == port);
    EXPECT(*held == "hello");
    EXPECT(held.use_count() == 3);
    EXPECT(p.try_set_source("300.0.0.1") == NP_ERR_ARGUMENT);
    EXPECT(held.use_count() == 3);
    EXPECT(p.try_set_source(nullptr).is_ok());
    EXPECT(held.use_count() == 2);
    close(own);
    close(other);
}

void moved_in_a_callback()
{
    const server asked;
    probe p = asking(asked);
    probe other{std::nothrow};
    EXPECT(p.try_set_events([&](const np_event &) {
                if (p)
                    other = std::move(p);
            }).is_ok());
    np_result result;
    EXPECT(p.try_run(result).is_ok());
    EXPECT(!p && other);
    EXPECT(other.try_run(result).is_ok());
}

void destroyed_in_a_callback()
{
    const server asked;
    const auto held = std::make_shared<int>(0);
    for (const bool runs : {true, false}) {
        auto p = std::make_unique<probe>(asking(asked));
        EXPECT(p->try_set_events([&p, held](const np_event &) {
                    EXPECT(p->try_start() == NP_ERR_BUSY); // and does not end the outer call
                    p.reset();
                }).is_ok());
        np_result result;
        EXPECT((runs ? p->try_run(result) : p->try_start()) == NP_ERR_CANCELLED);
        EXPECT(p == nullptr);
        EXPECT(held.use_count() == 1);
    }
}

void busy_in_a_callback()
{
    const server asked;
    probe p = asking(asked);
    np_result result;
    EXPECT(p.try_set_events([&](const np_event &) {
                np_result inner;
                EXPECT(p.try_set_events(nullptr) == NP_ERR_BUSY);
                EXPECT(p.try_run(inner) == NP_ERR_BUSY);
                EXPECT(p.try_start() == NP_ERR_BUSY);
                EXPECT(p.try_process(inner) == NP_ERR_BUSY);
            }).is_ok());
    EXPECT(p.try_run(result).is_ok());
}

// From a result to a line, back, and to a judgement.
void profiles_and_outlook()
{
    np_result result{};
    result.mapping = NP_BEHAVIOUR_NONE;
    result.filtering = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    std::memcpy(result.external_ip, "203.0.113.7", 12);
    const np_profile ours = natprobe::make_profile(result, 7);
    char line[NP_PROFILE_TEXT_SIZE];
    EXPECT(natprobe::try_format_profile(ours, line).is_ok());
    EXPECT(std::string(line) == "np1 m=none f=ei fp=0 v=4 x=203.0.113.7 t=7");
    np_profile theirs;
    EXPECT(natprobe::try_parse_profile("np1 m=apd f=apd x=198.51.100.2:9", theirs).is_ok());
    const np_outlook_result judged = natprobe::judge(ours, theirs, 7);
    EXPECT(judged.outlook == NP_OUTLOOK_DIRECT && judged.first == NP_FIRST_THEIRS);
    const char *reason = nullptr;
    EXPECT(natprobe::try_parse_profile("np2", theirs, &reason) == NP_ERR_ARGUMENT && reason != nullptr);
}

// As an event loop does it, until so many changes were told or the watch has ended.
status watch_all(natprobe::watch &w, std::uint64_t changes)
{
    for (;;) {
        pollfd readable = {w.fd(), POLLIN, 0};
        EXPECT(poll(&readable, 1, 30000) == 1);
#if NATPROBE_HPP_EXCEPTIONS
        if (!w.process())
            return NP_ERR_CANCELLED;
#else
        const status done = w.try_process();
        if (!done.is_pending())
            return done;
#endif
        if (w.read().changes >= changes)
            return NP_PENDING;
    }
}

void a_watch()
{
    const server asked;
    probe p = asking(asked);
    natprobe::watch w(std::nothrow, p);
    EXPECT(w && !p);
    unsigned calls = 0;
    EXPECT(w.try_set_changes([&](const np_watch_status &told) {
                calls++;
                EXPECT(told.reason == NP_WATCH_REASON_START);
            }).is_ok());
    EXPECT(w.try_set_interval(std::chrono::seconds(-1)) == NP_ERR_ARGUMENT);
    EXPECT(w.try_set_interval(0s).is_ok());
    EXPECT(w.fd() == NP_INVALID_SOCKET && w.wait_handle() == nullptr);
    EXPECT(w.try_start().is_ok());
    EXPECT(w.try_start() == NP_ERR_BUSY);
    EXPECT(watch_all(w, 1).is_pending());
    EXPECT(calls == 1 && w.read().result.nat_type == NP_NAT_OPEN_INTERNET && w.read().next_check_ms == -1);
    EXPECT(w.try_note_failure().is_ok());
    EXPECT(w.read().next_check_ms >= 0);
    natprobe::watch moved = std::move(w);
    EXPECT(!w && moved.read().changes == 1);
    moved.cancel();
    EXPECT(moved.try_process() == NP_ERR_CANCELLED);
}

void a_watch_in_its_callback()
{
    const server asked;
    for (const int what : {0, 1, 2}) {
        probe p = asking(asked);
        auto w = std::make_unique<natprobe::watch>(std::nothrow, p);
        std::unique_ptr<natprobe::watch> elsewhere;
        EXPECT(w->try_set_changes([&](const np_watch_status &) {
                    if (what == 0)
                        w.reset();
                    else if (what == 1)
                        w->cancel();
                    else
                        elsewhere = std::make_unique<natprobe::watch>(std::move(*w));
                }).is_ok());
        EXPECT(w->try_start().is_ok());
        status done = NP_PENDING;
        for (const natprobe::watch *now = w.get(); done.is_pending() && !elsewhere; now = w.get()) {
            pollfd readable = {now->fd(), POLLIN, 0};
            EXPECT(poll(&readable, 1, 30000) == 1);
            done = w->try_process();
        }
        EXPECT(what == 2 ? elsewhere->read().changes == 1 : done == NP_ERR_CANCELLED);
    }
}

void an_empty_watch()
{
    probe none{std::nothrow};
    probe taken = std::move(none);
    natprobe::watch w(std::nothrow, none);
    EXPECT(!w && w.get() == nullptr && w.fd() == NP_INVALID_SOCKET);
    EXPECT(w.try_start() == NP_ERR_ARGUMENT && w.try_process() == NP_ERR_ARGUMENT);
    EXPECT(w.try_set_interval(60s) == NP_ERR_ARGUMENT && w.try_set_changes(nullptr) == NP_ERR_ARGUMENT);
    EXPECT(w.try_note_failure() == NP_ERR_ARGUMENT && w.read().checks == 0 && !w.take_exception());
    w.cancel();
    const server silent(true);
    probe busy = asking(silent);
    EXPECT(busy.try_start().is_ok());
    natprobe::watch refused(std::nothrow, busy);
    EXPECT(!refused && busy);
}

#if NATPROBE_HPP_EXCEPTIONS

// ---- Exceptions

struct thrown_here {
    int number;
};

// The status of the error that a function throws; NP_OK if it throws none.
template <typename function> status error_of(function f)
{
    try {
        f();
    } catch (const natprobe::error &error) {
        return error.status();
    }
    return NP_OK;
}

// The number that was thrown; 0 if none was.
template <typename function> int number_of(function f)
{
    try {
        f();
    } catch (const thrown_here &thrown) {
        return thrown.number;
    }
    return 0;
}

void errors()
{
    const server asked, silent(true);
    probe p;
    try {
        p.add_server(asked.name()).add_server("127.0.0.1:");
        EXPECT(!"it was refused");
    } catch (const std::runtime_error &error) {
        const auto &own = dynamic_cast<const natprobe::error &>(error);
        EXPECT(own.status() == NP_ERR_ARGUMENT);
        EXPECT(std::strcmp(own.detail(), "127.0.0.1:") == 0);
        EXPECT(own.what() == std::string(np_strerror(NP_ERR_ARGUMENT)) + ": 127.0.0.1:");
    }
    EXPECT(p.run().nat_type != NP_NAT_UNKNOWN);
    p.clear_servers().add_server(silent.name()).set_response_timeout(50ms).set_lifetime_limit(9s);
    try {
        p.run();
        EXPECT(!"nobody answers");
    } catch (const natprobe::error &error) {
        EXPECT(error.status() == NP_ERR_NO_RESPONSE);
        EXPECT(error.detail()[0] != '\0');
    }
    EXPECT(std::strcmp(natprobe::error(NP_ERR_BUSY).detail(), "") == 0);
    EXPECT(std::strcmp(natprobe::error(NP_ERR_BUSY).what(), np_strerror(NP_ERR_BUSY)) == 0);
    EXPECT(error_of([&] { p.process(); }) == NP_ERR_ARGUMENT);
    EXPECT(error_of([&] { p.set_source("300.0.0.1"); }) == NP_ERR_ARGUMENT);
    EXPECT(error_of([&] { p.set_interface(""); }) == NP_ERR_ARGUMENT);
    EXPECT(error_of([&] { p.set_tests(0).set_family(NP_FAMILY_ANY); }) == NP_ERR_ARGUMENT);
    EXPECT(error_of([&] { p.set_timeout(0s).set_response_timeout(0s); }) == NP_ERR_ARGUMENT);
    EXPECT(error_of([&] { p.set_socket(0, nullptr); }) == NP_ERR_ARGUMENT);
    EXPECT(error_of([&] { p.set_log(static_cast<np_log_level>(9), [](np_log_level, const char *) {}); }) ==
           NP_ERR_ARGUMENT);
    EXPECT(error_of([] { natprobe::check_nat("300.0.0.1"); }) == NP_ERR_ARGUMENT);
    is_memory_refused = true;
    try {
        probe refused;
        EXPECT(!"memory was refused");
    } catch (const std::bad_alloc &) {
    }
    is_memory_refused = false;
}

// Whatever throws: run() throws it, has cancelled the check, and the probe is as good as before.
void thrown_in_run()
{
    const server asked;
    probe p = asking(asked);
    int number = 0;
    p.set_events([&](const np_event &) { throw thrown_here{++number}; });
    EXPECT(number_of([&] { p.run(); }) == 1);
    p.set_events(nullptr).set_log(NP_LOG_DEBUG, [&](np_log_level, const char *) { throw thrown_here{7}; });
    EXPECT(number_of([&] { p.run(); }) == 7);
    p.set_log(NP_LOG_INFO, nullptr);
    EXPECT(p.run().nat_type != NP_NAT_UNKNOWN);
}

// It cancels what would otherwise go on for long: nobody answers.
void thrown_with_a_silent_server()
{
    const server silent(true);
    probe p = asking(silent);
    p.set_events([&](const np_event &) { throw thrown_here{3}; });
    np_result result;
    EXPECT(p.try_run(result) == NP_ERR_CANCELLED);
    EXPECT(number_of([&] { std::rethrow_exception(p.take_exception()); }) == 3);
    EXPECT(p.take_exception() == nullptr);
    EXPECT(p.try_run(result) == NP_ERR_CANCELLED);
    p.set_events(nullptr).set_timeout(20ms);
    EXPECT(error_of([&] { p.run(); }) == NP_ERR_NO_RESPONSE); // the last run's is forgotten
    EXPECT(p.take_exception() == nullptr);
}

void thrown_on_an_own_socket()
{
    const server silent(true);
    std::uint16_t port = 0;
    const int own = cpp_server_bind(silent.get(), &port);
    EXPECT(own >= 0);
    cpp_server_send(silent.get(), own, port, "hello");
    probe p = asking(silent);
    p.set_socket(own, [](const void *, std::size_t, const sockaddr *, std::size_t) { throw thrown_here{9}; });
    EXPECT(number_of([&] { p.run(); }) == 9);
    close(own);
}

std::optional<np_result> process_all(probe &p)
{
    for (;;) {
        if (auto result = p.process())
            return result;
        pollfd readable = {p.fd(), POLLIN, 0};
        EXPECT(poll(&readable, 1, 30000) == 1);
    }
}

// The first event comes during start(), the next ones during process().
void thrown_in_an_event_loop()
{
    const server asked;
    probe p = asking(asked);
    for (const int kind : {NP_EVENT_SENT, NP_EVENT_ANSWERED, NP_EVENT_CONCLUDED}) {
        p.set_events([&](const np_event &event) {
            if (event.kind == kind)
                throw thrown_here{kind};
        });
        p.start();
        EXPECT(error_of([&] { p.start(); }) == NP_ERR_BUSY); // and forgets nothing
        EXPECT(number_of([&] { process_all(p); }) == kind);
        EXPECT(p.try_set_tests(NP_TESTS_DEFAULT).is_ok()); // nothing goes on
    }
    p.set_events(nullptr).start();
    EXPECT(process_all(p)->nat_type != NP_NAT_UNKNOWN);
}

// The error of a call from within a callback ends the run like any other exception.
void busy_is_thrown()
{
    const server asked;
    probe p = asking(asked);
    p.set_events([&](const np_event &) { p.set_events(nullptr); });
    EXPECT(error_of([&] { p.run(); }) == NP_ERR_BUSY);
    unsigned calls = 0;
    p.set_events([&](const np_event &) {
        if (calls++ == 0)
            throw thrown_here{4};
        np_result inner;
        EXPECT(p.try_process(inner) == NP_ERR_BUSY); // does not take what the outer call will throw
        EXPECT(number_of([&] { EXPECT(error_of([&] { p.process(); }) == NP_ERR_BUSY); }) == 0);
        EXPECT(number_of([&] { EXPECT(error_of([&] { p.run(); }) == NP_ERR_BUSY); }) == 0);
    });
    EXPECT(number_of([&] { p.run(); }) == 4);
    EXPECT(calls > 1);
}

void destroyed_and_thrown()
{
    const server asked;
    for (const bool runs : {true, false}) {
        auto p = std::make_unique<probe>(asking(asked));
        p->set_events([&](const np_event &) {
            p.reset();
            throw thrown_here{5};
        });
        EXPECT(number_of([&] { runs ? static_cast<void>(p->run()) : p->start(); }) == 5);
        auto q = std::make_unique<probe>(asking(asked));
        q->set_events([&](const np_event &) { q.reset(); });
        EXPECT(error_of([&] { runs ? static_cast<void>(q->run()) : q->start(); }) == NP_ERR_CANCELLED);
    }
}

void thrown_in_a_watch()
{
    const server asked;
    probe telling = asking(asked);
    telling.set_events([](const np_event &event) {
        if (event.kind == NP_EVENT_ANSWERED)
            throw thrown_here{6};
    });
    natprobe::watch first(std::move(telling));
    EXPECT(number_of([&] {
               first.start();
               EXPECT(!watch_all(first, 1).is_ok());
           }) == 6);
    EXPECT(error_of([&] { first.process(); }) == NP_ERR_ARGUMENT); // it has ended
    natprobe::watch second(asking(asked));
    second.set_interval(60s).set_changes([](const np_watch_status &) { throw thrown_here{7}; });
    EXPECT(number_of([&] {
               second.start();
               EXPECT(!watch_all(second, 1).is_ok());
           }) == 7);
    EXPECT(error_of([&] { second.set_interval(1s); }) == NP_ERR_ARGUMENT);
    EXPECT(error_of([&] { second.note_failure(); }) == NP_ERR_ARGUMENT);
    EXPECT(error_of([&] { natprobe::watch(probe(std::move(telling))); }) == NP_ERR_NO_MEMORY);
    natprobe::watch third(asking(asked));
    third.start();
    third.cancel();
    EXPECT(!third.process());
}

void both_families_throw()
{
    cpp_server_has_names(nullptr);
    EXPECT(error_of([] { natprobe::check_nat_dual(); }) == NP_ERR_RESOLVE);
    const std::unique_ptr<stun_server, void (*)(stun_server *)> named(cpp_server_start_as_builtin(), stun_server_stop);
    cpp_server_has_names(named.get());
    const natprobe::dual_result both = natprobe::check_nat_dual();
    cpp_server_has_names(nullptr);
    EXPECT(both.ipv4.error == NP_OK && std::strcmp(both.ipv4.external_ip, "127.0.0.1") == 0);
    EXPECT(both.ipv6.error == NP_ERR_RESOLVE);
}

void profiles_that_are_refused()
{
    EXPECT(natprobe::format_profile(natprobe::parse_profile("np1 m=ei f=ad fp=1")) == "np1 m=ei f=ad fp=1");
    EXPECT(error_of([] { natprobe::parse_profile("np1 m=x"); }) == NP_ERR_ARGUMENT);
    EXPECT(error_of([] { natprobe::parse_profile(std::string("np1\0m=ei", 8)); }) == NP_ERR_ARGUMENT);
    np_profile strange{};
    std::memcpy(strange.external_ip, "nowhere", 8);
    EXPECT(error_of([&] { natprobe::format_profile(strange); }) == NP_ERR_ARGUMENT);
}

#endif

struct test_case {
    const char *name;
    void (*run)();
};

const test_case cases[] = {
    {"a verdict, with events and a log", a_verdict},
    {"each setting, taken and refused", settings},
    {"an event loop, and a move during the check", an_event_loop},
    {"a cancel from another thread", a_cancel},
    {"an empty probe refuses everything", an_empty_probe},
    {"what callbacks hold is freed when they are", what_callbacks_hold},
    {"a socket of the program's own", an_own_socket},
    {"moved in a callback", moved_in_a_callback},
    {"destroyed in a callback", destroyed_in_a_callback},
    {"busy in a callback", busy_in_a_callback},
    {"profiles and an outlook", profiles_and_outlook},
    {"a watch, with its status and a failure", a_watch},
    {"a watch that is moved, cancelled or destroyed in a callback", a_watch_in_its_callback},
    {"an empty watch refuses everything", an_empty_watch},
#if NATPROBE_HPP_EXCEPTIONS
    {"callbacks of a watch throw", thrown_in_a_watch},
    {"errors have a status and a detail", errors},
    {"a callback throws in run()", thrown_in_run},
    {"a callback throws, and nobody answers", thrown_with_a_silent_server},
    {"the receiver of datagrams throws", thrown_on_an_own_socket},
    {"a callback throws in an event loop", thrown_in_an_event_loop},
    {"busy is thrown, and an inner call takes nothing", busy_is_thrown},
    {"destroyed in a callback that throws", destroyed_and_thrown},
    {"profiles that are refused", profiles_that_are_refused},
    {"both families without a verdict, and with one", both_families_throw},
#endif
};

} // namespace

int main()
{
    int number = 0;
    int failed = 0;
    for (const test_case &one : cases) {
        failures = 0;
        one.run();
        std::printf("%s %d - %s\n", failures == 0 ? "ok" : "not ok", ++number, one.name);
        failed += failures != 0 ? 1 : 0;
    }
    std::printf("1..%d\n", number);
    return failed != 0 ? 1 : 0;
}
