"""The backplanes: engines that carry frames between the workers that serve one realm."""
