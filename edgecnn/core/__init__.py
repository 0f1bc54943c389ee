"""What every part agrees on: labels, preprocessing, the model file, frames, folders of photos.

It needs numpy and OpenCV, and pydantic for what is read from files.
"""
