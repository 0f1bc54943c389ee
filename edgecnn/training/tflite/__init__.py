"""TFLite model files: conversion, metadata, checks, golden vectors and class thresholds."""
