"""Lines of JSON become typed rows; what cannot be read becomes a rejected row."""
