// Copyright 2026 molmo_ros contributors
// SPDX-License-Identifier: Apache-2.0

// Prints how many points a message has, and its type's hash as the linked library knows it.
#include <cstdio>

#include "molmo_msgs/action/query.hpp"
#include "molmo_msgs/msg/object_point_array.hpp"
#include "molmo_msgs/srv/point.hpp"
#include "rosidl_typesupport_cpp/message_type_support.hpp"

int main()
{
  using molmo_msgs::msg::ObjectPointArray;
  ObjectPointArray array;
  array.points.resize(3);
  const auto support = rosidl_typesupport_cpp::get_message_type_support_handle<ObjectPointArray>();
  std::printf("%zu RIHS%02d_", array.points.size(), support->get_type_hash_func(support)->version);
  for (const auto byte : support->get_type_hash_func(support)->value) {
    std::printf("%02x", byte);
  }
  std::printf("\n");
}
