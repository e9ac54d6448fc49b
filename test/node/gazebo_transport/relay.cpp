// Copyright 2026 molmo_ros contributors
// SPDX-License-Identifier: Apache-2.0

/* Carries messages between Gazebo's own transport and two pipes, as they are: serialised.

   relay TOPIC...

   What comes on stdin is published, what those topics bring is written to stdout, each as a line
   `TOPIC TYPE BYTES` and the message. A topic's first message waits until somebody listens to it. Ends with stdin.
   Built for ignition-transport11 (Fortress, Debian 12), or with -DGZ for gz-transport 12 and later. */
#include <chrono>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#ifdef GZ
#include <gz/transport.hh>
namespace transport = gz::transport;
#else
#include <ignition/transport.hh>
namespace transport = ignition::transport;
#endif

static std::mutex output;

static void write_out(const char *data, const size_t size, const transport::MessageInfo &about) {
    std::lock_guard<std::mutex> alone(output);
    std::cout << about.Topic() << ' ' << about.Type() << ' ' << size << '\n';
    std::cout.write(data, size).flush();
}

int main(int count, char **arguments) {
    transport::Node node;
    for (int i = 1; i < count; ++i) {
        if (!node.SubscribeRaw(arguments[i], write_out)) {
            std::cerr << "no such topic can be: " << arguments[i] << std::endl;
            return 2;
        }
    }
    std::map<std::string, transport::Node::Publisher> publishers;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string topic, type;
        size_t size = 0;
        words >> topic >> type >> size;
        std::string data(size, '\0');
        if (!words || !std::cin.read(data.data(), size)) return 3;
        auto [known, is_new] = publishers.try_emplace(topic);
        if (is_new) known->second = node.Advertise(topic, type);
        for (int tries = 0; is_new && tries < 1000 && !known->second.HasConnections(); ++tries)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        if (!known->second.PublishRaw(data, type)) {
            std::cerr << "cannot publish " << type << " on " << topic << std::endl;
            return 4;
        }
    }
    return 0;
}
