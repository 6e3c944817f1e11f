"""Prompts: language, words, hanja."""
