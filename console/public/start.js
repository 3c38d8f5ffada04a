// Before anything is painted: the theme that was chosen here, and for who is signed in the outline of the page and the
// question who they are, which the program then finds answered.
(function () {
  var root = document.documentElement;
  var chosen = null;
  var signedIn = false;
  try {
    chosen = localStorage.getItem("stead.theme");
    signedIn = localStorage.getItem("stead.signed-in") !== null;
  } catch (error) {
    // A browser that keeps nothing follows the system.
  }
  var dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "dark" : "light";
  if (!signedIn) return;
  root.dataset.signedIn = "";
  var asked = document.createElement("link");
  asked.rel = "preload";
  asked.as = "fetch";
  asked.crossOrigin = "anonymous";
  asked.href = "/api/session";
  document.head.append(asked);
})();
