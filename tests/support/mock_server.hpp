#pragma once
#include <httplib.h>

#include <functional>
#include <string>
#include <thread>

namespace assay::test {

/// A server on a free port of this machine, in this process, that answers every GET and POST by `handler`.
class MockServer {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  explicit MockServer(Handler handler) : handler_(std::move(handler)) {
    const auto answer = [this](const httplib::Request& request, httplib::Response& response) {
      handler_(request, response);
    };
    server_.Get(".*", answer);
    server_.Post(".*", answer);
    server_.set_keep_alive_max_count(100000);
    server_.new_task_queue = [] { return new httplib::ThreadPool(16); };
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~MockServer() {
    server_.stop();
    thread_.join();
  }
  MockServer(const MockServer&) = delete;
  MockServer& operator=(const MockServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  Handler handler_;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace assay::test
