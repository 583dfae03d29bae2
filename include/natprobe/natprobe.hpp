// SPDX-License-Identifier: MIT
/**
 * @file natprobe.hpp
 * natprobe.h for C++17: a handle that frees itself, callbacks as std::function, errors as exceptions.
 *
 *     try {
 *         natprobe::probe probe;
 *         probe.add_server("stun.example.org");
 *         const np_result result = probe.run();
 *         std::cout << np_nat_type_description(result.nat_type) << '\n';
 *     } catch (const natprobe::error &error) {
 *         std::cerr << error.what() << '\n';
 *     }
 *
 * Everything is inline, over the functions of natprobe.h alone. natprobe.h describes what each of them does; this page
 * says what differs. Results, events, enumerations, names and texts are those of C.
 *  - A function that can fail throws natprobe::error. Its twin that begins with try_ is noexcept and returns a status.
 *    Compiled without exceptions, only the twins are declared.
 *  - A callback may throw. The exception does not pass through the library: it cancels the run, and run() or process()
 *    throws it again. Callbacks that still come are called; the first exception is kept.
 *  - A probe that was moved from, or whose memory was refused, refuses everything with NP_ERR_ARGUMENT.
 *  - The rules for threads and callbacks are those of natprobe.h. In a callback the probe may be cancelled, moved or
 *    destroyed; everything else is NP_ERR_BUSY. After fork() the child must not destroy the probe.
 *  - This header is part of your program, not of the library's ABI. docs/ABI.md says what that means.
 */
#ifndef NATPROBE_NATPROBE_HPP
#define NATPROBE_NATPROBE_HPP

#include <natprobe/natprobe.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define NATPROBE_HPP_EXCEPTIONS 1
#else
#define NATPROBE_HPP_EXCEPTIONS 0
#endif

namespace natprobe
{

// Translation units with and without exceptions have classes of different names: the linker does not mix them up.
#if NATPROBE_HPP_EXCEPTIONS
inline namespace v1
#else
inline namespace v1_without_exceptions
#endif
{

/** A code of enum np_error. @since 0.3.0 */
class [[nodiscard]] status
{
  public:
    constexpr status(int code = NP_OK) noexcept : code_(code)
    {
    }
    /** The code: NP_OK, NP_PENDING or NP_ERR_*. */
    constexpr int code() const noexcept
    {
        return code_;
    }
    /** There is a verdict, or the setting is made. */
    constexpr bool is_ok() const noexcept
    {
        return code_ == NP_OK;
    }
    /** The check goes on: only try_process() says so. */
    constexpr bool is_pending() const noexcept
    {
        return code_ == NP_PENDING;
    }
    /** The short name: "ok", "no-response", ... */
    const char *name() const noexcept
    {
        return np_error_name(code_);
    }
    /** A sentence, such as "No STUN server answered". */
    const char *message() const noexcept
    {
        return np_strerror(code_);
    }
    friend constexpr bool operator==(status a, status b) noexcept
    {
        return a.code_ == b.code_;
    }
    friend constexpr bool operator!=(status a, status b) noexcept
    {
        return a.code_ != b.code_;
    }

  private:
    int code_;
};

#if NATPROBE_HPP_EXCEPTIONS
/** Thrown if a function fails. what() is the sentence of the status, and the detail after it. @since 0.3.0 */
class error : public std::runtime_error
{
  public:
    explicit error(natprobe::status failed, const char *detail = "")
        : std::runtime_error(text(failed, detail)), status_(failed), detail_at_(std::string(what()).rfind(detail))
    {
    }
    /** What went wrong. */
    natprobe::status status() const noexcept
    {
        return status_;
    }
    /** Of a run: np_result.detail, the reason. Of a setter: the text that was refused. Empty if there is none. */
    const char *detail() const noexcept
    {
        return what() + detail_at_;
    }

  private:
    static std::string text(natprobe::status failed, const std::string &detail)
    {
        return failed.message() + (detail.empty() ? detail : ": " + detail);
    }

    natprobe::status status_;
    std::size_t detail_at_; // what() has the only copy: copying an exception must not throw
};
#endif

/** As np_log_fn. @since 0.3.0 */
using log_function = std::function<void(np_log_level level, const char *message)>;
/** As np_event_fn. @since 0.3.0 */
using event_function = std::function<void(const np_event &event)>;
/** As np_datagram_fn. @since 0.3.0 */
using datagram_function = std::function<void(const void *data, std::size_t size, const struct sockaddr *address,
                                             std::size_t address_size)>;

/** As np_watch_fn. @since 0.4.0 */
using change_function = std::function<void(const np_watch_status &status)>;

class watch;

/** A handle (np_probe), which frees itself. It can be moved, not copied. @since 0.3.0 */
class probe
{
  public:
    /** A probe with the defaults. It is empty if memory ran out. */
    explicit probe(std::nothrow_t) noexcept : inner_(make())
    {
    }
    /** Does it hold a handle? Not if it was moved from, or if memory ran out. */
    explicit operator bool() const noexcept
    {
        return inner_ != nullptr;
    }
    /** The handle, for functions of natprobe.h. It stays the probe's: do not free it, or set its callbacks. */
    np_probe *get() const noexcept
    {
        return inner_ ? inner_->handle : nullptr;
    }

    /** As np_probe_set_source(). */
    status try_set_source(const char *ip, std::uint16_t port = 0) noexcept
    {
        const status done = np_probe_set_source(get(), ip, port);
        if (done.is_ok())
            datagram_function().swap(inner_->on_datagram); // the socket was taken back
        return done;
    }
    /** As np_probe_set_interface(). */
    status try_set_interface(const char *name) noexcept
    {
        return np_probe_set_interface(get(), name);
    }
    /** As np_probe_set_socket(). The probe keeps the function until the next try_set_socket() or try_set_source(). */
    status try_set_socket(np_socket socket, datagram_function on_datagram) noexcept
    {
        return keep(np_probe_set_socket(get(), socket, on_datagram ? pass_datagram : nullptr, inner_.get()),
                    &inner::on_datagram, on_datagram);
    }
    /** As np_probe_add_server(). */
    status try_add_server(const char *server) noexcept
    {
        return np_probe_add_server(get(), server);
    }
    /** As np_probe_clear_servers(). */
    status try_clear_servers() noexcept
    {
        return np_probe_clear_servers(get());
    }
    /** As np_probe_set_family(). */
    status try_set_family(np_family family) noexcept
    {
        return np_probe_set_family(get(), family);
    }
    /** As np_probe_set_tests(). @param tests Bits of enum np_tests. */
    status try_set_tests(std::int32_t tests) noexcept
    {
        return np_probe_set_tests(get(), tests);
    }
    /** As np_probe_set_timeout(). */
    status try_set_timeout(std::chrono::milliseconds timeout) noexcept
    {
        return np_probe_set_timeout(get(), in_range(timeout));
    }
    /** As np_probe_set_lifetime_limit(). @since 0.4.0 */
    status try_set_lifetime_limit(std::chrono::seconds limit) noexcept
    {
        const bool fits = limit.count() >= 0 && limit <= std::chrono::hours(2); /* the library refuses what is above */
        return np_probe_set_lifetime_limit(get(), fits ? static_cast<std::uint32_t>(limit.count()) : 0U);
    }
    /** As np_probe_set_response_timeout(). */
    status try_set_response_timeout(std::chrono::milliseconds timeout) noexcept
    {
        return np_probe_set_response_timeout(get(), in_range(timeout));
    }
    /** As np_probe_set_log(). An empty function turns logging off. */
    status try_set_log(np_log_level level, log_function log) noexcept
    {
        return keep(np_probe_set_log(get(), level, log ? pass_log : nullptr, inner_.get()), &inner::log, log);
    }
    /** As np_probe_set_events(). An empty function turns events off. */
    status try_set_events(event_function on_event) noexcept
    {
        return keep(np_probe_set_events(get(), on_event ? pass_event : nullptr, inner_.get()), &inner::on_event,
                    on_event);
    }

    /** As np_probe_run(). If a callback threw: NP_ERR_CANCELLED, and take_exception() has what it threw. */
    status try_run(np_result &result) noexcept
    {
        return run_in(result, nullptr);
    }
    /** As np_probe_start(). */
    status try_start() noexcept
    {
        return start_in(nullptr);
    }
    /** As np_probe_process(). If a callback threw: NP_ERR_CANCELLED, and take_exception() has what it threw. */
    status try_process(np_result &result) noexcept
    {
        return process_in(result, nullptr);
    }
    /**
     * Takes out what a callback threw in the last run, if run() and process() have not thrown it. Empty if there is
     * nothing. The next run forgets it.
     */
    std::exception_ptr take_exception() noexcept
    {
        return inner_ ? std::exchange(inner_->thrown, nullptr) : nullptr;
    }
    /** As np_probe_cancel(): from any thread, from a callback and from a signal handler, as long as the probe lives. */
    void cancel() const noexcept
    {
        np_probe_cancel(get());
    }
    /** As np_probe_fd(). */
    np_socket fd() const noexcept
    {
        return np_probe_fd(get());
    }
    /** As np_probe_wait_handle(). @since 0.4.0 */
    void *wait_handle() const noexcept
    {
        return np_probe_wait_handle(get());
    }

#if NATPROBE_HPP_EXCEPTIONS
    /** A probe with the defaults. @throws std::bad_alloc */
    probe() : probe(std::nothrow)
    {
        if (!inner_)
            throw std::bad_alloc();
    }

    // The same settings. Each throws natprobe::error if it is refused, and else returns the probe for the next one.

    probe &set_source(const char *ip, std::uint16_t port = 0)
    {
        return check(try_set_source(ip, port), ip);
    }
    probe &set_interface(const char *name)
    {
        return check(try_set_interface(name), name);
    }
    probe &set_socket(np_socket socket, datagram_function on_datagram)
    {
        return check(try_set_socket(socket, std::move(on_datagram)));
    }
    probe &add_server(const char *server)
    {
        return check(try_add_server(server), server);
    }
    probe &clear_servers()
    {
        return check(try_clear_servers());
    }
    probe &set_family(np_family family)
    {
        return check(try_set_family(family));
    }
    probe &set_tests(std::int32_t tests)
    {
        return check(try_set_tests(tests));
    }
    probe &set_timeout(std::chrono::milliseconds timeout)
    {
        return check(try_set_timeout(timeout));
    }
    probe &set_lifetime_limit(std::chrono::seconds limit)
    {
        return check(try_set_lifetime_limit(limit));
    }
    probe &set_response_timeout(std::chrono::milliseconds timeout)
    {
        return check(try_set_response_timeout(timeout));
    }
    probe &set_log(np_log_level level, log_function log)
    {
        return check(try_set_log(level, std::move(log)));
    }
    probe &set_events(event_function on_event)
    {
        return check(try_set_events(std::move(on_event)));
    }

    /**
     * As np_probe_run().
     * @return the verdict. If you need the result of a failure too, such as blocked UDP, use try_run().
     * @throws natprobe::error without a verdict; what a callback threw
     */
    np_result run()
    {
        np_result result;
        std::exception_ptr thrown;
        const status done = run_in(result, &thrown);
        rethrow(thrown);
        require(done, result.detail);
        return result;
    }
    /**
     * As np_probe_start(). If a callback throws meanwhile, process() throws that.
     * @throws natprobe::error if nothing has begun; what a callback threw if there is nothing to process
     */
    void start()
    {
        std::exception_ptr thrown;
        const status done = start_in(&thrown);
        rethrow(thrown);
        require(done);
    }
    /**
     * As np_probe_process().
     * @return the verdict; nothing while the check goes on.
     * @throws natprobe::error at the end without a verdict; what a callback threw. The check is over then.
     */
    std::optional<np_result> process()
    {
        std::optional<np_result> result(std::in_place);
        std::exception_ptr thrown;
        const status done = process_in(*result, &thrown);
        rethrow(thrown);
        if (done.is_pending())
            return std::nullopt;
        require(done, result->detail);
        return result;
    }
#endif

  private:
    friend class watch;

    // What callbacks get as user: its address stays the same when the probe is moved.
    struct inner {
        np_probe *handle = nullptr;
        log_function log;
        event_function on_event;
        datagram_function on_datagram;
        change_function on_change; // of the watch that has taken the handle over
        std::exception_ptr thrown;
        bool is_in_call = false;  // of a function that callbacks come from
        bool is_orphaned = false; // the probe was destroyed in a callback: the call frees this
    };

    struct freeing {
        void operator()(inner *i) const noexcept
        {
            np_probe_free(i->handle);
            i->is_orphaned = true;
            if (!i->is_in_call)
                delete i;
        }
    };

    using owner = std::unique_ptr<inner, freeing>;

    // One call that callbacks come from. From then on only this is used: the probe may be moved or destroyed meanwhile.
    class call
    {
      public:
        explicit call(inner *i) noexcept : i_(i), is_outer_(!i->is_in_call)
        {
            i->is_in_call = true;
        }
        call(const call &) = delete;
        call &operator=(const call &) = delete;
        ~call()
        {
            if (!is_outer_)
                return;
            i_->is_in_call = false;
            if (i_->is_orphaned)
                delete i_;
        }
        // A call from within a callback must leave to the outer one what is to be thrown there.
        void take(std::exception_ptr *thrown) noexcept
        {
            if (thrown != nullptr && is_outer_)
                *thrown = std::exchange(i_->thrown, nullptr);
        }

      private:
        inner *i_;
        bool is_outer_;
    };

    static owner make() noexcept
    {
        owner made(new (std::nothrow) inner);
        if (made)
            made->handle = np_probe_new();
        if (made && made->handle == nullptr)
            made.reset();
        return made;
    }

    // Neither 0 nor a value that does not fit is a time allowed.
    static std::uint32_t in_range(std::chrono::milliseconds time) noexcept
    {
        const auto count = time.count();
        return count > 0 && count <= INT32_MAX ? static_cast<std::uint32_t>(count) : 0;
    }

    // Keeps a callback once the library has accepted it: until then the one before may be running.
    template <typename function> status keep(status done, function inner::*member, function &callback) noexcept
    {
        if (done.is_ok())
            (inner_.get()->*member).swap(callback);
        return done;
    }

    status run_in(np_result &result, std::exception_ptr *thrown) noexcept
    {
        if (!inner_)
            return np_probe_run(nullptr, &result);
        inner *const i = inner_.get();
        call in(i);
        const std::exception_ptr before = std::exchange(i->thrown, nullptr);
        const status done = np_probe_run(i->handle, &result);
        if (done == NP_ERR_BUSY)
            i->thrown = before;
        else
            in.take(thrown);
        return done;
    }

    status start_in(std::exception_ptr *thrown) noexcept
    {
        if (!inner_)
            return np_probe_start(nullptr);
        inner *const i = inner_.get();
        call in(i);
        const std::exception_ptr before = std::exchange(i->thrown, nullptr);
        const status done = np_probe_start(i->handle);
        if (done == NP_ERR_BUSY)
            i->thrown = before;
        else if (!done.is_ok())
            in.take(thrown);
        return done;
    }

    status process_in(np_result &result, std::exception_ptr *thrown) noexcept
    {
        if (!inner_)
            return np_probe_process(nullptr, &result);
        inner *const i = inner_.get();
        call in(i);
        status done = np_probe_process(i->handle, &result);
        // A callback has cancelled the run by throwing. One more turn ends it, so that the probe is free again.
        if (done.is_pending() && i->thrown && !i->is_orphaned)
            done = np_probe_process(i->handle, &result);
        in.take(thrown);
        return done;
    }

    // No exception may leave a callback: the library is C.
    template <typename function, typename... argument>
    static void pass(inner *i, const function &callback, argument... arguments) noexcept
    {
#if NATPROBE_HPP_EXCEPTIONS
        try {
            callback(arguments...);
        } catch (...) {
            if (!i->thrown)
                i->thrown = std::current_exception();
            if (!i->is_orphaned)
                np_probe_cancel(i->handle);
        }
#else
        (void)i;
        callback(arguments...);
#endif
    }

    static void pass_log(std::int32_t level, const char *message, void *user) noexcept
    {
        inner *const i = static_cast<inner *>(user);
        pass(i, i->log, static_cast<np_log_level>(level), message);
    }
    static void pass_event(const np_event *event, void *user) noexcept
    {
        inner *const i = static_cast<inner *>(user);
        pass(i, i->on_event, std::cref(*event));
    }
    static void pass_change(const np_watch_status *status, void *user) noexcept
    {
        inner *const i = static_cast<inner *>(user);
        pass(i, i->on_change, std::cref(*status));
    }
    static void pass_datagram(const void *data, std::size_t size, const struct sockaddr *address,
                              std::size_t address_size, void *user) noexcept
    {
        inner *const i = static_cast<inner *>(user);
        pass(i, i->on_datagram, data, size, address, address_size);
    }

#if NATPROBE_HPP_EXCEPTIONS
    static void require(status done, const char *detail = "")
    {
        if (!done.is_ok())
            throw error(done, detail);
    }
    static void rethrow(const std::exception_ptr &thrown)
    {
        if (thrown)
            std::rethrow_exception(thrown);
    }
    probe &check(status done, const char *refused = "")
    {
        require(done, refused != nullptr ? refused : "");
        return *this;
    }
#endif

    owner inner_;
};

/**
 * A watch (np_watch), which frees itself. It takes a probe over, with its settings and callbacks: the probe is empty
 * then. It can be moved, not copied. In a callback it may be cancelled, read, moved or destroyed. @since 0.4.0
 */
class watch
{
  public:
    /** A watch of the probe. Empty, and the probe unchanged, if memory ran out or the probe is in use. */
    watch(std::nothrow_t, probe &from) noexcept : handle_(np_watch_new(from.get()))
    {
        if (handle_ == nullptr)
            return;
        from.inner_->handle = nullptr;
        inner_ = std::move(from.inner_);
    }
    watch(watch &&other) noexcept : inner_(std::move(other.inner_)), handle_(std::exchange(other.handle_, nullptr))
    {
    }
    watch &operator=(watch &&other) noexcept
    {
        watch(std::move(other)).swap(*this);
        return *this;
    }
    ~watch()
    {
        np_watch_free(handle_);
    }
    void swap(watch &other) noexcept
    {
        inner_.swap(other.inner_);
        std::swap(handle_, other.handle_);
    }
    /** Does it hold a handle? Not if it was moved from, or could not be made. */
    explicit operator bool() const noexcept
    {
        return handle_ != nullptr;
    }
    /** The handle, for functions of natprobe.h. It stays the watch's: do not free it, or set its callback. */
    np_watch *get() const noexcept
    {
        return handle_;
    }

    /** As np_watch_set_interval(). */
    status try_set_interval(std::chrono::seconds interval) noexcept
    {
        const auto count = interval.count();
        return np_watch_set_interval(handle_,
                                     count >= 0 && count <= INT32_MAX ? static_cast<std::uint32_t>(count) : UINT32_MAX);
    }
    /** As np_watch_set_changes(). An empty function turns it off. */
    status try_set_changes(change_function on_change) noexcept
    {
        probe::inner *const i = inner_.get();
        const status done = np_watch_set_changes(handle_, on_change ? probe::pass_change : nullptr, i);
        if (done.is_ok())
            i->on_change.swap(on_change);
        return done;
    }
    /** As np_watch_start(). */
    status try_start() noexcept
    {
        return turn(np_watch_start, nullptr);
    }
    /** As np_watch_process(). If a callback threw: NP_ERR_CANCELLED, and take_exception() has what it threw. */
    status try_process() noexcept
    {
        return turn(np_watch_process, nullptr);
    }
    /** As np_watch_note_failure(). */
    status try_note_failure() noexcept
    {
        return np_watch_note_failure(handle_);
    }
    /** As np_watch_read(). Zeros from an empty watch. */
    np_watch_status read() const noexcept
    {
        np_watch_status status;
        np_watch_read(handle_, &status);
        return status;
    }
    /** What a callback threw, if process() has not thrown it. */
    std::exception_ptr take_exception() noexcept
    {
        return inner_ ? std::exchange(inner_->thrown, nullptr) : nullptr;
    }
    /** As np_watch_cancel(). */
    void cancel() const noexcept
    {
        np_watch_cancel(handle_);
    }
    /** As np_watch_fd(). */
    np_socket fd() const noexcept
    {
        return np_watch_fd(handle_);
    }
    /** As np_watch_wait_handle(). */
    void *wait_handle() const noexcept
    {
        return np_watch_wait_handle(handle_);
    }

#if NATPROBE_HPP_EXCEPTIONS
    /** A watch of the probe. @throws natprobe::error NP_ERR_NO_MEMORY if it cannot be made; the probe is gone then. */
    explicit watch(probe from) : watch(std::nothrow, from)
    {
        probe::require(handle_ != nullptr ? NP_OK : NP_ERR_NO_MEMORY);
    }
    watch &set_interval(std::chrono::seconds interval)
    {
        probe::require(try_set_interval(interval));
        return *this;
    }
    watch &set_changes(change_function on_change)
    {
        probe::require(try_set_changes(std::move(on_change)));
        return *this;
    }
    void note_failure()
    {
        probe::require(try_note_failure());
    }
    /** As np_watch_start(). @throws natprobe::error if nothing has begun; what a callback threw */
    void start()
    {
        std::exception_ptr thrown;
        const status done = turn(np_watch_start, &thrown);
        probe::rethrow(thrown);
        probe::require(done);
    }
    /**
     * As np_watch_process().
     * @return true while the watch goes on, false after cancel()
     * @throws natprobe::error at any other end; what a callback threw. The watch has ended then.
     */
    bool process()
    {
        std::exception_ptr thrown;
        const status done = turn(np_watch_process, &thrown);
        probe::rethrow(thrown);
        if (!done.is_pending() && done != NP_ERR_CANCELLED)
            probe::require(done);
        return done.is_pending();
    }
#endif

  private:
    // The watch may be moved or destroyed meanwhile: only what is local is used from the call on.
    status turn(int (*function)(np_watch *), std::exception_ptr *thrown) noexcept
    {
        np_watch *const handle = handle_;
        probe::inner *const i = inner_.get();
        if (i == nullptr)
            return function(handle);
        probe::call in(i);
        status done = function(handle);
        // A callback has thrown: that ends the watch.
        if (i->thrown && !i->is_orphaned && (done.is_pending() || done.is_ok())) {
            np_watch_cancel(handle);
            done = np_watch_process(handle);
        }
        in.take(thrown);
        return done;
    }

    probe::owner inner_; // of the probe: its callbacks
    np_watch *handle_ = nullptr;
};

/** As np_check_nat(). @since 0.3.0 */
inline status try_check_nat(np_result &result, const char *source_ip = nullptr, std::uint16_t source_port = 0) noexcept
{
    return np_check_nat(source_ip, source_port, &result);
}

#if NATPROBE_HPP_EXCEPTIONS
/** As np_check_nat(). @return the verdict. @throws natprobe::error without one. @since 0.3.0 */
inline np_result check_nat(const char *source_ip = nullptr, std::uint16_t source_port = 0)
{
    np_result result;
    const status done = try_check_nat(result, source_ip, source_port);
    if (!done.is_ok())
        throw error(done, result.detail);
    return result;
}
#endif

/** As np_check_nat_dual(). @since 0.4.0 */
inline status try_check_nat_dual(np_result &ipv4, np_result &ipv6) noexcept
{
    return np_check_nat_dual(&ipv4, &ipv6);
}

#if NATPROBE_HPP_EXCEPTIONS
/** What check_nat_dual() returns: the member error of each says whether it has a verdict. @since 0.4.0 */
struct dual_result {
    np_result ipv4;
    np_result ipv6;
};

/** As np_check_nat_dual(). @return both results. @throws natprobe::error if neither has a verdict. @since 0.4.0 */
inline dual_result check_nat_dual()
{
    dual_result both;
    const status done = try_check_nat_dual(both.ipv4, both.ipv6);
    if (!done.is_ok())
        throw error(done, both.ipv4.error == done.code() ? both.ipv4.detail : both.ipv6.detail);
    return both;
}
#endif

/** As np_profile_from_result(). @since 0.4.0 */
inline np_profile make_profile(const np_result &result, std::int64_t now_unix) noexcept
{
    np_profile profile;
    np_profile_from_result(&result, now_unix, &profile);
    return profile;
}

/** As np_profile_format(): writes the line, terminated. @since 0.4.0 */
inline status try_format_profile(const np_profile &profile, char (&line)[NP_PROFILE_TEXT_SIZE]) noexcept
{
    return np_profile_format(&profile, line, sizeof line);
}

/** As np_profile_parse(). @since 0.4.0 */
inline status try_parse_profile(const char *line, np_profile &profile, const char **reason = nullptr) noexcept
{
    return np_profile_parse(line, &profile, reason);
}

/** As np_outlook(). It cannot fail with references. @since 0.4.0 */
inline np_outlook_result judge(const np_profile &ours, const np_profile &theirs, std::int64_t now_unix) noexcept
{
    np_outlook_result outlook;
    np_outlook(&ours, &theirs, now_unix, &outlook);
    return outlook;
}

#if NATPROBE_HPP_EXCEPTIONS
/** As np_profile_format(). @throws natprobe::error if external_ip is not an address. @since 0.4.0 */
inline std::string format_profile(const np_profile &profile)
{
    char line[NP_PROFILE_TEXT_SIZE];
    const status done = try_format_profile(profile, line);
    if (!done.is_ok())
        throw error(done, "external_ip");
    return line;
}

/** As np_profile_parse(). @throws natprobe::error with the reason as its detail. @since 0.4.0 */
inline np_profile parse_profile(const std::string &line)
{
    np_profile profile;
    const char *reason = "It has a character that is not printable ASCII";
    const bool is_text = line.find('\0') == std::string::npos;
    const status done = is_text ? try_parse_profile(line.c_str(), profile, &reason) : status(NP_ERR_ARGUMENT);
    if (!done.is_ok())
        throw error(done, reason);
    return profile;
}
#endif

} // namespace v1, or v1_without_exceptions

} // namespace natprobe

#endif
