import { mount } from "svelte";
import "./app.css";
import App from "./App.svelte";

// A chunk that cannot be had is that of another version: the server was replaced under an open page.
addEventListener("vite:preloadError", (event) => {
  event.preventDefault();
  location.reload();
});

mount(App, { target: document.getElementById("app")! });
