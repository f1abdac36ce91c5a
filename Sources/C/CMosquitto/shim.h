#pragma once
#include <mosquitto.h>
#include <sys/eventfd.h>
