app-name = Vọng Gác
